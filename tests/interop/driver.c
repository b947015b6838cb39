/*
 * What every C driver shares, behind the generated part with its table of types: the loop that serves requests.
 *
 * Request: one byte 'E' (tokens to XDR) or 'D' (XDR to tokens), the type's index and the length of what follows as
 * uint32, the tokens or bytes. Answer: one byte, 0 (refused) or 1, then for 'E' the XDR bytes, for 'D' how many
 * bytes were consumed (uint32), the bytes that the decoded value encodes to, and its tokens; bytes and tokens each
 * behind their length as uint32.
 */

#define DRV_ROOM (8u << 20)

static char drv_request[DRV_ROOM], drv_answer[DRV_ROOM], drv_encoded[DRV_ROOM];

/* XDR counts are the peer's word: C allocates first and reads later, so that a damaged count asks for
 * gigabytes. Here that fails at once instead of after a long walk through empty pages. */
void *calloc(size_t count, size_t size)
{
	size_t total = 0;
	void *block;

	if (__builtin_mul_overflow(count, size, &total) || total > DRV_ROOM)
		return NULL;
	block = malloc(total ? total : 1);
	if (block)
		memset(block, 0, total);
	return block;
}

static void drv_receive(void *target, size_t length)
{
	if (length > DRV_ROOM || (length && fread(target, length, 1, stdin) != 1))
		exit(0);
}

static void drv_send_sized(const char *data, uint32_t length)
{
	fwrite(&length, sizeof length, 1, stdout);
	fwrite(data, 1, length, stdout);
}

static int drv_encode(const struct drv_type *type, void *value, uint32_t *length)
{
	XDR xdrs;
	int done;

	xdrmem_create(&xdrs, drv_encoded, DRV_ROOM, XDR_ENCODE);
	done = type->code(&xdrs, value);
	*length = xdr_getpos(&xdrs);
	return done;
}

static void drv_serve_encode(const struct drv_type *type)
{
	struct drv_input input = { drv_request };
	void *value = calloc(1, type->size);
	uint32_t length;
	int done;

	type->get(&input, value);
	done = drv_encode(type, value, &length);
	putchar(done != 0);
	if (done)
		drv_send_sized(drv_encoded, length);
	/* The value stays: the driver lives as long as a test module, its values are small. */
}

static void drv_serve_decode(const struct drv_type *type, uint32_t length)
{
	struct drv_output output = { drv_answer };
	void *value = calloc(1, type->size);
	uint32_t consumed, again = 0;
	XDR xdrs;

	xdrmem_create(&xdrs, drv_request, length, XDR_DECODE);
	if (!type->code(&xdrs, value)) {
		putchar(0);
	} else {
		consumed = xdr_getpos(&xdrs);
		type->put(&output, value);
		drv_encode(type, value, &again);
		putchar(1);
		fwrite(&consumed, sizeof consumed, 1, stdout);
		drv_send_sized(drv_encoded, again);
		drv_send_sized(drv_answer, output.next - drv_answer);
	}
	xdr_free((xdrproc_t) type->code, value);
	free(value);
}

int main(void)
{
	struct { uint32_t type, length; } head;
	int action;

	while ((action = getchar()) != EOF) {
		drv_receive(&head, sizeof head);
		drv_receive(drv_request, head.length);
		if (action == 'E')
			drv_serve_encode(&drv_types[head.type]);
		else
			drv_serve_decode(&drv_types[head.type], head.length);
		fflush(stdout);
	}
	return 0;
}
