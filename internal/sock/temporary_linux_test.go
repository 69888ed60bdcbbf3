package sock

import (
	"fmt"
	"testing"
)

// As the kernel writes it: a temporary address, that which it was made from, a
// deprecated temporary one, one that is link-local, and what is no line of it.
func TestTemporaryAddressesAreTold(t *testing.T) {
	const table = `20010db800010000ddf431e3726f4f45 02 40 00 01     eth0
20010db800010000aaaa000000000001 02 40 00 82     eth0
20010db80001000011112222333344ff 02 40 00 21     eth0
fe80000000000000d078e1fffed5162b 02 40 20 80     eth0
20010db8 02 40 00 01 eth0

00000000000000000000000000000001 01 80 10 80       lo
`
	const want = "[2001:db8:1:0:ddf4:31e3:726f:4f45 2001:db8:1:0:1111:2222:3333:44ff]"
	if got := fmt.Sprint(temporaryIn(table)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
