package e2e

import (
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// inNetwork runs a test once more in a network namespace of its own that has all
// addresses of a prefix. It reports whether this is that run.
func inNetwork(t *testing.T, prefix string) bool {
	t.Helper()
	const mark = "DIALTONE_E2E_NETWORK"
	if os.Getenv(mark) == prefix {
		return true
	}
	if os.Geteuid() != 0 {
		if os.Getenv("DIALTONE_LAB") != "" {
			t.Fatal("needs root, for a network namespace")
		}
		t.Skip("needs root, for a network namespace")
	}
	// AnyIP: a local route makes addresses this machine's own, and so may they be bound.
	const set = `ip link set lo up && ip -6 route add local "$0" dev lo && echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind && exec "$@"`
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "sh", "-c", set, prefix, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"="+prefix, built+"="+programs)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in the namespace: %v", err)
	}
	return false
}

// Strangers with a whole /32, each from a /48 of its own and as many as there are, who
// come back at once when they are ended, keep the holder of the key out no more; nor do
// they if the holder is in that /32.
func TestHolderOfTheKeyGetsInWhileAProviderOfIPv6HoldsOn(t *testing.T) {
	if !inNetwork(t, "2001:d00::/24") {
		return
	}
	a := netip.MustParseAddr
	holdsOn6(t, a("2001:dff::1"), a("2001:dff::2"), []netip.Addr{a("2001:dff:b::1"), a("2001:db8:ffff::1")}, "/48", func(i int) [16]byte {
		return [16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 5), byte(i << 3), 15: 1}
	})
}

// Strangers with a /48 of their own, each from a /64 of its own, who come back at once
// when they are ended, keep the holder of the key out no more than those of one
// address; nor do they if the holder is in that /48.
func TestHolderOfTheKeyGetsInWhileASiteOfIPv6HoldsOn(t *testing.T) {
	if !inNetwork(t, "2001:db8::/32") {
		return
	}
	a := netip.MustParseAddr
	said := holdsOn6(t, a("2001:db8:a::1"), a("2001:db8:a::2"), []netip.Addr{a("2001:db8:b::1"), a("2001:db8:c:ffff::1")}, "/64", func(i int) [16]byte {
		return [16]byte{0x20, 1, 0xd, 0xb8, 0, 0x0c, byte(i >> 8), byte(i), 15: 1}
	})
	if !strings.Contains(said, "come from 2001:db8:c::/48") {
		t.Errorf("listen says %q", said)
	}
}

// holdsOn6 has 8,192 strangers, each from a network of its own, hold connections to a
// listen, and the holders of the key find there what is found where none are; the second,
// which is among the strangers', where there is time for it. It returns what listen said.
func holdsOn6(t *testing.T, usualAt, at netip.Addr, holders []netip.Addr, size string, stranger func(int) [16]byte) string {
	t.Helper()
	_, _ = listening(t, usualAt, `exec "$@"`)
	usual := fullRunFrom(t, holders[0], usualAt)
	var from []netip.Addr
	for i := range 8192 {
		from = append(from, netip.AddrFrom16(stranger(i)))
	}
	listen, said := listening(t, at, `exec "$@"`)
	c := &crowd{from: from, first: looksLikeProof(t), perPause: 2}
	began := time.Now()
	c.gather(t, len(from), strangerPorts(at))
	took := time.Since(began)
	if !hasTime() {
		holders = holders[:1]
	}
	for _, holder := range holders {
		began = time.Now()
		got := fullRunFrom(t, holder, at)
		t.Logf("%d connections from %d networks of %s in %v, %d of them ended; dial from %s took %v; listen has %d MiB", c.made.Load(), len(from), size, took.Round(time.Millisecond), c.ended.Load(), holder, time.Since(began).Round(time.Millisecond), memory(t, listen.Pid, "VmRSS"))
		asUsual(t, usual, got)
		if !slices.Contains(got.findings, "listener-crowded") {
			t.Errorf("dial does not say that listen was crowded: %v", got.findings)
		}
	}
	all := said()
	if strings.Contains(all, "panic") {
		t.Errorf("listen says %q", all)
	}
	if n := c.made.Load(); n < 8000 {
		t.Error("only " + strconv.FormatInt(n, 10) + " came")
	}
	return all
}
