/* Tokens in and out, for the generated functions. What a token is: see tests/neutral.py. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rpc/rpc.h>

struct drv_input { char *next; };
struct drv_output { char *next; };

/* How rpcgen lays out opaque data of variable length, whatever it calls the members: those of the
 * library's netobj have other names. */
struct drv_counted { u_int length; char *data; };

struct drv_type {
	bool_t (*code)(XDR *, void *);
	void (*get)(struct drv_input *, void *);
	void (*put)(struct drv_output *, void *);
	size_t size;
};

static void drv_bytes(struct drv_input *in, void *to, size_t length)
{
	memcpy(to, in->next, length);
	in->next += length;
}

static int64_t drv_number(struct drv_input *in)
{
	int64_t value;

	drv_bytes(in, &value, sizeof value);
	return value;
}

static void drv_counted(struct drv_input *in, struct drv_counted *to)
{
	to->length = drv_number(in);
	to->data = calloc(to->length + 1, 1);
	drv_bytes(in, to->data, to->length);
}

static double drv_real(struct drv_input *in)
{
	double value;

	drv_bytes(in, &value, sizeof value);
	return value;
}

static void drv_put(struct drv_output *out, const void *from, size_t length)
{
	memcpy(out->next, from, length);
	out->next += length;
}

static void drv_put_number(struct drv_output *out, int64_t value)
{
	drv_put(out, &value, sizeof value);
}

static void drv_put_real(struct drv_output *out, double value)
{
	if (value != value)
		value = NAN;
	drv_put(out, &value, sizeof value);
}

static void drv_put_bytes(struct drv_output *out, const void *from, size_t length)
{
	drv_put_number(out, length);
	drv_put(out, from, length);
}
