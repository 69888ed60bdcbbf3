package sock

import (
	"syscall"
	"testing"

	"dialtone/internal/result"
)

// The numbers are those of Microsoft's page "Windows Sockets Error Codes"; what each
// says of a path stands here once more, written down by hand.
func TestEveryCodeOfWindowsSocketsHasItsMeaning(t *testing.T) {
	want := map[syscall.Errno]struct {
		stream, packet result.ConnectOutcome
		traits         winsockTrait
	}{
		5:     {result.ConnectDenied, result.ConnectDenied, winNoPermission},
		64:    {result.ConnectFailed, result.ConnectFailed, winReset},
		121:   {result.ConnectTimeout, result.ConnectTimeout, 0},
		1225:  {result.ConnectRST, result.ConnectRST, 0},
		1231:  {result.ConnectNoRoute, result.ConnectNoRoute, winUnreachable},
		1232:  {result.ConnectNoRoute, result.ConnectNoRoute, winUnreachable},
		1234:  {result.ConnectFailed, result.ConnectRST, 0}, // ICMP port unreachable
		1236:  {result.ConnectFailed, result.ConnectFailed, winReset},
		10013: {result.ConnectDenied, result.ConnectDenied, winNoPermission},
		10022: {result.ConnectFailed, result.ConnectFailed, 0},
		10024: {result.ConnectFailed, result.ConnectFailed, winNoDescriptor},
		10040: {result.ConnectFailed, result.ConnectFailed, winTooLarge},
		10047: {result.ConnectNoRoute, result.ConnectNoRoute, 0},
		10048: {result.ConnectFailed, result.ConnectFailed, winInUse},
		10049: {result.ConnectNoRoute, result.ConnectNoRoute, winTupleInUse},
		10050: {result.ConnectNoRoute, result.ConnectNoRoute, 0},
		10051: {result.ConnectNoRoute, result.ConnectNoRoute, 0},
		10052: {result.ConnectTimeout, result.ConnectFailed, 0},
		10053: {result.ConnectFailed, result.ConnectFailed, winReset},
		10054: {result.ConnectFailed, result.ConnectRST, winReset}, // of a datagram no reset, but port unreachable
		10055: {result.ConnectFailed, result.ConnectFailed, winNoPort},
		10060: {result.ConnectTimeout, result.ConnectTimeout, 0},
		10061: {result.ConnectRST, result.ConnectRST, 0},
		10064: {result.ConnectNoRoute, result.ConnectNoRoute, winUnreachable},
		10065: {result.ConnectNoRoute, result.ConnectNoRoute, winUnreachable},
		// What says nothing of a path.
		10004: {result.ConnectFailed, result.ConnectFailed, 0}, // WSAEINTR
		10035: {result.ConnectFailed, result.ConnectFailed, 0}, // WSAEWOULDBLOCK
		995:   {result.ConnectFailed, result.ConnectFailed, 0}, // ERROR_OPERATION_ABORTED
	}
	seen := map[syscall.Errno]bool{}
	for _, c := range winsockCodes {
		if seen[c.code] {
			t.Errorf("%s stands twice", c.name)
		}
		seen[c.code] = true
		if _, ok := want[c.code]; !ok {
			t.Errorf("%s (%d): write down here what it means", c.name, c.code)
		}
	}
	for code, w := range want {
		got := winsockOf(code)
		if got.of(false) != w.stream || got.of(true) != w.packet {
			t.Errorf("%d: stream %s, datagram %s; want %+v", code, got.of(false), got.of(true), w)
		}
		for trait := winReset; trait <= winNoPermission; trait <<= 1 {
			if got.is(trait) != (w.traits&trait != 0) {
				t.Errorf("%d: trait %b is %v", code, trait, got.is(trait))
			}
		}
	}
}
