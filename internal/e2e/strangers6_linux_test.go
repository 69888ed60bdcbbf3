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
	usualAt, holder := netip.MustParseAddr("2001:dff::1"), netip.MustParseAddr("2001:dff:b::1")
	_, _ = listening(t, usualAt, `exec "$@"`)
	usual := fullRunFrom(t, holder, usualAt)
	var sites []netip.Addr
	for i := range 8192 {
		sites = append(sites, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 5), byte(i << 3), 15: 1}))
	}
	at := netip.MustParseAddr("2001:dff::2")
	listen, said := listening(t, at, `exec "$@"`)
	c := &crowd{from: sites, first: looksLikeProof(t), perPause: 2}
	began := time.Now()
	c.gather(t, len(sites), strangerPorts(at))
	took := time.Since(began)
	holders := []netip.Addr{holder}
	if hasTime() {
		holders = append(holders, netip.MustParseAddr("2001:db8:ffff::1"))
	}
	for _, from := range holders {
		began = time.Now()
		got := fullRunFrom(t, from, at)
		t.Logf("%d connections from %d networks of /48 in %v, %d of them ended; dial from %s took %v; listen has %d MiB", c.made.Load(), len(sites), took.Round(time.Millisecond), c.ended.Load(), from, time.Since(began).Round(time.Millisecond), memory(t, listen.Pid, "VmRSS"))
		asUsual(t, usual, got)
		if !slices.Contains(got.findings, "listener-crowded") {
			t.Errorf("dial does not say that listen was crowded: %v", got.findings)
		}
	}
	if strings.Contains(said(), "panic") {
		t.Errorf("listen says %q", said())
	}
	if n := c.made.Load(); n < 8000 {
		t.Error("only " + strconv.FormatInt(n, 10) + " came")
	}
}

// Strangers with a /48 of their own, each from a /64 of its own, who come back at once
// when they are ended, keep the holder of the key out no more than those of one
// address; nor do they if the holder is in that /48.
func TestHolderOfTheKeyGetsInWhileASiteOfIPv6HoldsOn(t *testing.T) {
	if !inNetwork(t, "2001:db8::/32") {
		return
	}
	usualAt := netip.MustParseAddr("2001:db8:a::1")
	_, _ = listening(t, usualAt, `exec "$@"`)
	holder := netip.MustParseAddr("2001:db8:b::1")
	usual := fullRunFrom(t, holder, usualAt)
	var site []netip.Addr
	for i := range 8192 {
		site = append(site, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0x0c, byte(i >> 8), byte(i), 15: 1}))
	}
	at := netip.MustParseAddr("2001:db8:a::2")
	listen, said := listening(t, at, `exec "$@"`)
	c := &crowd{from: site, first: looksLikeProof(t), perPause: 2}
	began := time.Now()
	c.gather(t, len(site), strangerPorts(at))
	took := time.Since(began)
	holders := []netip.Addr{holder}
	if hasTime() {
		holders = append(holders, netip.MustParseAddr("2001:db8:c:ffff::1"))
	}
	for _, from := range holders {
		began = time.Now()
		got := fullRunFrom(t, from, at)
		t.Logf("%d connections from %d networks of /64 in %v, %d of them ended; dial from %s took %v; listen has %d MiB", c.made.Load(), len(site), took.Round(time.Millisecond), c.ended.Load(), from, time.Since(began).Round(time.Millisecond), memory(t, listen.Pid, "VmRSS"))
		asUsual(t, usual, got)
		if !slices.Contains(got.findings, "listener-crowded") {
			t.Errorf("dial does not say that listen was crowded: %v", got.findings)
		}
	}
	if !strings.Contains(said(), "come from 2001:db8:c::/48") || strings.Contains(said(), "panic") {
		t.Errorf("listen says %q", said())
	}
	if n := c.made.Load(); n < 8000 {
		t.Error("only " + strconv.FormatInt(n, 10) + " came")
	}
}
