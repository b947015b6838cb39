"""Memory, processors, titles and metadata: what can be changed of which definition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypervisor.hosts import Watched, definition, persistent, refusal, running

from rpcgen.examples.hypervisor.model import tuning
from rpcgen.examples.hypervisor.model.domains import Domains
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.events import DomainRef
from rpcgen.examples.hypervisor.model.flags import Affect, DomainCount, DomainStart
from rpcgen.runtime import RemoteError


def change(domains: Domains, ref: DomainRef, flags: int) -> tuple[int, int]:
    """Memory of what runs and of what is kept, after it was set to 512."""
    with domains.locked(ref) as domain:
        tuning.set_memory(domain, 512, DomainCount(flags))
        return domain.live.memory, domain.inactive.memory


@pytest.mark.parametrize(
    ("flags", "memory"),
    [
        (0, (512, 1024)),
        (Affect.LIVE, (512, 1024)),
        (Affect.CONFIG, (1024, 512)),
        (Affect.LIVE | Affect.CONFIG, (512, 512)),
    ],
)
def test_a_change_affects_what_it_says(flags: int, memory: tuple[int, int]) -> None:
    host = Watched()
    assert change(host.domains, running(host), flags) == memory


def test_a_change_needs_what_it_affects() -> None:
    host = Watched()
    off, short = persistent(host), definition("short", "11111111-2222-3333-4444-666666666666")
    up = host.domains.create(short, DomainStart(0))
    assert "domain is not running" in refusal(55, change, host.domains, off, Affect.LIVE)
    message = refusal(55, change, host.domains, up, Affect.CONFIG)
    assert "transient domains do not have any persistent config" in message
    with host.domains.locked(up) as domain:
        both = Affect.LIVE | Affect.CONFIG
        with pytest.raises(RemoteError, match="mutually exclusive"):
            domain.shown(both, "virDomainGetVcpusFlags")


def test_limits_of_memory_and_processors() -> None:
    host = Watched()
    ref = running(host)
    with host.domains.locked(ref) as domain:
        both, most = DomainCount.LIVE | DomainCount.CONFIG, DomainCount.MAXIMUM
        domain.inactive.max_memory = 4096
        refused: list[tuple[Callable[..., None], int, int, int, str]] = [
            (tuning.set_memory, 2048, both, 8, "cannot set memory higher than max memory"),
            (tuning.set_memory, 512, most, 55, "cannot resize the maximum memory"),
            (tuning.set_vcpus, 3, both, 8, "requested cpu amount exceeds maximum (3 > 2)"),
            (tuning.set_vcpus, 33, both, 8, "exceeds maximum supported amount (33 > 32)"),
            (tuning.set_vcpus, 0, both, 8, "exceeds maximum supported amount (0 > 32)"),
            (tuning.set_vcpus, 4, most, 55, "cannot change the maximum of vcpus"),
        ]
        for set_it, value, flags, code, message in refused:
            assert message in refusal(code, set_it, domain, value, flags)
        assert (domain.live.memory, domain.inactive.memory) == (1024, 1024)
        tuning.set_vcpus(domain, 4, DomainCount.CONFIG | most)
        tuning.set_vcpus(domain, 3, DomainCount.CONFIG)
        tuning.set_vcpus(domain, 1, DomainCount.LIVE)
        assert (domain.live.vcpus, domain.live.max_vcpus) == (1, 2)
        assert (domain.inactive.vcpus, domain.inactive.max_vcpus) == (3, 4)
        tuning.set_memory(domain, 256, DomainCount.CONFIG | most)
        assert (domain.inactive.memory, domain.inactive.max_memory) == (256, 256)


def test_foreign_metadata_comes_back_as_it_was_given() -> None:
    host = Watched()
    with host.domains.locked(persistent(host)) as domain:
        text = '<x a="1"><y/>t<z> u </z></x>'
        tuning.set_metadata(domain, tuning.Metadata.ELEMENT, text, "k", "http://a", 0)
        tuning.set_metadata(domain, tuning.Metadata.ELEMENT, "<q/>", "j", "http://b", 0)
        xml = domain.inactive.xml()
        assert '<k:x xmlns:k="http://a" a="1"><k:y/>t<k:z> u </k:z></k:x>' in xml
        assert tuning.get_metadata(domain.inactive, tuning.Metadata.ELEMENT, "http://a") == text
        tuning.set_metadata(domain, tuning.Metadata.ELEMENT, "<r/>", "k", "http://a", 0)
        assert tuning.get_metadata(domain.inactive, tuning.Metadata.ELEMENT, "http://a") == "<r/>"
        tuning.set_metadata(domain, tuning.Metadata.ELEMENT, None, None, "http://a", 0)
        message = refusal(
            80, lambda: tuning.get_metadata(domain.inactive, tuning.Metadata.ELEMENT, "http://a")
        )
        assert message == "metadata not found: Requested metadata element is not present"
        assert tuning.get_metadata(domain.inactive, tuning.Metadata.ELEMENT, "http://b") == "<q/>"


def test_titles_and_descriptions() -> None:
    host = Watched()
    with host.domains.locked(persistent(host)) as domain:
        for kind, tag in (
            (tuning.Metadata.TITLE, "title"),
            (tuning.Metadata.DESCRIPTION, "description"),
        ):
            tuning.set_metadata(domain, kind, "a <b>", None, None, 0)
            assert f"<{tag}>a &lt;b&gt;</{tag}>" in domain.inactive.xml()
            assert tuning.get_metadata(domain.inactive, kind, None) == "a <b>"
            tuning.set_metadata(domain, kind, "", None, None, 0)
            refusal(80, tuning.get_metadata, domain.inactive, kind, None)
        for arguments in (
            (1, "a\nb", None, None, 0),
            (2, "<x/>", "k", None, 0),
            (2, "<x/>", None, "u", 0),
            (2, "<x", "k", "u", 0),
            (3, "", "", "", 0),
        ):
            with pytest.raises(LibvirtError):
                tuning.set_metadata(domain, *arguments)
