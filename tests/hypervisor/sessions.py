"""What virsh is told, session by session, and the files that it reads meanwhile.

A session finds a host as it is at first. ``{name}`` stands for the path of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

FILES: Final = {
    "web.xml": """\
<domain type='test'>
  <name>web</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <title>The web</title>
  <description>Serves pages &amp; more</description>
  <metadata><app:x xmlns:app="http://app.example/1" a="1"><app:y/></app:x></metadata>
  <memory unit='MiB'>512</memory>
  <currentMemory unit='MiB'>256</currentMemory>
  <vcpu current='1'>4</vcpu>
  <os><type>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'><source file='/g/one.img'/><target dev='vda'/></disk>
    <interface type='network'>
      <mac address='52:54:00:00:00:01'/><source network='default'/>
    </interface>
  </devices>
</domain>
""",
    "web2.xml": """\
<domain type='test'>
  <name>web</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <memory>4096</memory>
  <os><type>hvm</type></os>
</domain>
""",
    "taken.xml": """\
<domain type='test'>
  <name>test</name>
  <memory>4096</memory>
  <os><type>hvm</type></os>
</domain>
""",
    "snapshot.xml": """\
<domainsnapshot>
  <name>first</name>
  <description>before the change</description>
</domainsnapshot>
""",
    "again.xml": """\
<domainsnapshot>
  <name>one</name>
  <state>paused</state>
  <creationTime>5</creationTime>
</domainsnapshot>
""",
    "offline.xml": """\
<domainsnapshot>
  <name>one</name>
  <state>shutoff</state>
  <creationTime>5</creationTime>
</domainsnapshot>
""",
    "network.xml": """\
<network>
  <name>lan</name>
  <uuid>22222222-2222-3333-4444-555555555555</uuid>
  <bridge name='br7'/>
  <ip address='10.0.0.1' netmask='255.255.255.0'/>
</network>
""",
    "pool.xml": """\
<pool type='dir'>
  <name>disks</name>
  <uuid>33333333-2222-3333-4444-555555555555</uuid>
  <target><path>/disks</path></target>
</pool>
""",
    "volume.xml": """\
<volume>
  <name>v1.img</name>
  <capacity unit='MiB'>10</capacity>
  <allocation>0</allocation>
  <target><format type='qcow2'/></target>
</volume>
""",
    "broken.xml": "<network><domain></network>\n",
}

SESSIONS: Final[Mapping[str, Sequence[str]]] = {
    "host": [
        *("version", "version --daemon", "nodeinfo", "hostname", "capabilities", "maxvcpus"),
        *("freecell", "freecell --all", "freecell 0", "nodecpumap", "list", "list --all"),
    ],
    "domain": [
        *("dominfo test", "dumpxml test", "dumpxml --inactive test", "domid test", "domname 1"),
        *("domuuid test", "domstate test", "domstate --reason test", "domcontrol test"),
        *("domblklist test", "domblklist test --details", "domiflist test", "domhostname test"),
        *("domblkinfo test vda", "domblkinfo test --all", "domblkinfo test vdz"),
        *("vcpucount test", "vcpucount test --maximum", "vcpuinfo test", "vcpupin test"),
        *("emulatorpin test", "dommemstat test", "schedinfo test", "domstats", "domstats --state"),
        *("desc test", "desc --title test", "domif-getlink test testnet0", "ttyconsole test"),
    ],
    "lists": [
        *("define {web.xml}", "list --all", "list --all --name", "list --all --uuid"),
        *("list --inactive", "list --state-running", "list --state-shutoff --all"),
        *("list --persistent", "list --transient", "list --title --all", "list --autostart"),
        *("list --no-autostart --all", "list --all --with-snapshot", "list --id"),
        *("list --all --without-snapshot", "list --all --with-managed-save"),
        *("list --state-paused --all", "suspend test", "list --state-paused --all"),
    ],
    "lifecycle": [
        *("suspend test", "domstate --reason test", "suspend test", "resume test", "resume test"),
        *("domstate --reason test", "reboot test", "domstate --reason test", "reset test"),
        *("shutdown test", "domstate --reason test", "shutdown test", "reboot test", "list"),
        *("suspend test", "resume test", "destroy test", "start test", "start test", "domid test"),
        *("destroy test", "domstate --reason test", "autostart test", "dominfo test"),
        *("autostart --disable test", "dominfo test", "reset test"),
    ],
    "define": [
        *("define {web.xml}", "dumpxml web", "dominfo web", "start web", "dumpxml web"),
        *("define {web2.xml}", "dumpxml web", "dumpxml --inactive web", "dominfo web"),
        *("destroy web", "dumpxml web", "undefine web", "list --all", "dominfo web"),
        *("define {taken.xml}", "define {broken.xml}", "define {network.xml}"),
        *("create {web.xml}", "list --all", "dominfo web", "create {web.xml}", "destroy web"),
        *("list --all", "define {web.xml}", "domrename web site", "domrename site site"),
        *("list --all", "domrename test other", "domrename site test", "domrename site a/b"),
    ],
    "undefine": [
        *("undefine test", "list --all", "dominfo test", "destroy test", "list --all"),
        *("undefine test", "define {web.xml}", "undefine 11111111-2222-3333-4444-555555555555"),
        *("create {web.xml}", "define {web.xml}", "undefine 2", "dominfo web", "shutdown web"),
        "list --all",
    ],
    "saved": [
        *("managedsave test", "list --all", "list --all --managed-save", "dominfo test"),
        *("managedsave test", "start test", "dominfo test", "managedsave test"),
        *("managedsave-remove test", "dominfo test", "create {web.xml}", "managedsave web"),
    ],
    "resources": [
        *("setmem test 1048576", "dominfo test", "setmem test 4194304 --config"),
        *("setmaxmem test 4194304", "setvcpus test 1", "vcpucount test", "setvcpus test 3"),
        *("setvcpus test 33", "setvcpus test 4 --config --maximum", "vcpucount test"),
        *("setvcpus test 3 --config", "vcpucount test", "vcpucount test --current --config"),
        *("destroy test", "setmaxmem test 4194304", "dominfo test", "setmem test 1048576"),
        *("setvcpus test 1 --live", "dumpxml test", "vcpucount test --live --current"),
    ],
    "metadata": [
        *("desc test new words", "desc test", "desc --title test --new-desc short"),
        *("desc --title test", "desc test --config other words", "dumpxml test"),
        "metadata test http://a --key k --set '<x a=\"1\"><y/>t</x>'",
        *("metadata test http://a", "dumpxml test", "metadata test http://a --remove"),
        *("metadata test http://a", "dumpxml test --inactive", "desc test ''", "desc test"),
        *("metadata test http://a --key k --set '<x/>' --config", "dumpxml --inactive test"),
    ],
    "snapshots": [
        *("snapshot-list test", "snapshot-current test", "snapshot-create-as test one first"),
        *("snapshot-list test", "snapshot-create-as test two", "snapshot-current test --name"),
        *("snapshot-list test --tree", "snapshot-list test --parent", "snapshot-list test --roots"),
        *("snapshot-list test --leaves", "snapshot-list test --no-leaves"),
        *("snapshot-list test --name", "snapshot-info test one", "snapshot-info test two"),
        *("snapshot-parent test two", "snapshot-parent test one", "snapshot-dumpxml test one"),
        *(
            "snapshot-dumpxml test two",
            "snapshot-create-as test three",
            "snapshot-list --tree test",
        ),
        *("snapshot-current test one", "snapshot-current test --name"),
        *("snapshot-create-as test one-b", "snapshot-list test --tree"),
        *("snapshot-list test --from one", "snapshot-list test --from one --descendants"),
        *("snapshot-list test --descendants --current", "snapshot-delete test two"),
        *("snapshot-list test --tree", "snapshot-delete test one --children-only"),
        *("snapshot-list test --tree", "snapshot-current test --name"),
        *("snapshot-create test {snapshot.xml}", "snapshot-info test first"),
        *("snapshot-create-as test first", "snapshot-delete test one --children"),
        *("snapshot-list test", "snapshot-current test", "snapshot-create test {web.xml}"),
        *("snapshot-create test --redefine {snapshot.xml}", "snapshot-info test nope"),
    ],
    "redefinitions": [
        *("snapshot-create test --redefine {again.xml}", "snapshot-create-as test one"),
        *("snapshot-create test --redefine {again.xml}", "snapshot-dumpxml test one"),
        *("snapshot-create test --redefine {offline.xml}", "snapshot-dumpxml test one"),
        *("destroy test", "snapshot-delete test one", "snapshot-create-as test one"),
        *("snapshot-create test --redefine {offline.xml}", "snapshot-dumpxml test one"),
        *("snapshot-create test --redefine {again.xml}", "snapshot-dumpxml test one"),
    ],
    "reverts": [
        *("snapshot-create-as test one", "snapshot-revert test one", "domstate --reason test"),
        *("list", "snapshot-create-as test h --halt", "domstate --reason test"),
        *("snapshot-list test", "snapshot-revert test one", "domstate --reason test", "list"),
        *("snapshot-current test --name", "snapshot-revert test h --running"),
        *("domstate --reason test", "snapshot-revert test one --paused", "domstate --reason test"),
        *("destroy test", "snapshot-create-as test off", "snapshot-list test"),
        *("snapshot-info test off", "snapshot-dumpxml test off", "snapshot-list test --inactive"),
        *("snapshot-list test --active", "snapshot-list test --internal"),
        *("snapshot-list test --external", "snapshot-list test --metadata"),
        *("snapshot-list test --no-metadata", "snapshot-list test --disk-only"),
        *("start test", "snapshot-revert test off", "domstate --reason test"),
        *("list --all --with-snapshot", "undefine test", "list --all"),
        *("undefine test --snapshots-metadata", "list --all"),
    ],
    "networks": [
        *("net-list", "net-info default", "net-dumpxml default", "net-define {network.xml}"),
        *("net-list --all", "net-info lan", "net-dumpxml lan", "net-start lan", "net-start lan"),
        *("net-list", "net-autostart lan", "net-info lan", "net-list --autostart"),
        *("net-autostart lan --disable", "net-destroy lan", "net-list --inactive"),
        *("net-uuid lan", "net-name 22222222-2222-3333-4444-555555555555", "net-list --all --name"),
        *("net-undefine lan", "net-undefine lan", "net-info lan", "net-create {network.xml}"),
        *("net-list --transient", "net-info lan", "net-create {network.xml}", "net-undefine lan"),
        *("net-destroy lan", "net-list --all", "net-undefine default", "net-destroy default"),
        *("net-list --all", "net-define {broken.xml}", "net-define {web.xml}", "net-start default"),
    ],
    "pools": [
        *("pool-list", "pool-list --details", "pool-info default-pool", "pool-define {pool.xml}"),
        *("pool-list --all", "pool-list --all --details", "pool-info disks", "pool-dumpxml disks"),
        *("pool-start disks", "pool-start disks", "pool-build disks", "pool-refresh disks"),
        *("pool-info disks", "pool-autostart disks", "pool-list --autostart", "pool-uuid disks"),
        *("pool-name 33333333-2222-3333-4444-555555555555", "pool-undefine disks"),
        *("pool-destroy disks", "pool-destroy disks", "pool-refresh disks", "pool-build disks"),
        *("pool-list --inactive", "pool-list --all --type dir", "pool-list --all --type fs"),
        *("pool-delete disks", "pool-undefine disks", "pool-list --all", "pool-create {pool.xml}"),
        *("pool-list --transient", "pool-info disks", "pool-autostart disks", "pool-destroy disks"),
        *("pool-list --all", "pool-info disks", "pool-define {volume.xml}"),
        *("pool-define-as more dir --target /more", "pool-create-as most dir --target /most"),
        "pool-list --all",
    ],
    "volumes": [
        *("vol-list default-pool", "vol-create default-pool {volume.xml}", "vol-list default-pool"),
        *("vol-list default-pool --details", "vol-info --pool default-pool v1.img"),
        *("vol-dumpxml --pool default-pool v1.img", "vol-path v1.img --pool default-pool"),
        *("vol-key --pool default-pool v1.img", "vol-pool /default-pool/v1.img"),
        *("vol-name /default-pool/v1.img", "vol-create default-pool {volume.xml}"),
        *("vol-create-as default-pool v3 20M --allocation 5M", "pool-info default-pool"),
        *("vol-list default-pool --details", "vol-clone --pool default-pool v1.img v4"),
        *("vol-info /default-pool/v4", "vol-delete v4 --pool default-pool"),
        *("vol-info --pool default-pool v4", "vol-create default-pool {pool.xml}"),
        *("vol-create-as default-pool huge 1E", "pool-destroy default-pool"),
        *(
            "vol-info --pool default-pool v1.img",
            "pool-start default-pool",
            "vol-list default-pool",
        ),
    ],
    "errors": [
        *("dominfo nope", "dumpxml nope", "start nope", "destroy nope", "undefine nope"),
        *("domname 77", "domuuid 77", "dominfo 6695eb01-f6a4-8304-79aa-97f2502e1900"),
        *("net-info nope", "net-dumpxml nope", "pool-info nope", "pool-dumpxml nope"),
        *(
            "vol-info nope",
            "vol-info --pool default-pool nope",
            "vol-dumpxml /nope",
            "vol-pool /no",
        ),
        *("snapshot-info test nope", "snapshot-revert test nope", "snapshot-delete test nope"),
    ],
}
