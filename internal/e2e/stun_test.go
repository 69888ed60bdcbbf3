package e2e

import (
	"fmt"
	"os"

	"github.com/pion/stun/v3"
)

// stunTCP is a helper program: pion's own STUN client, which knows nothing of
// Dialtone, asks over TCP for the address it is seen as, and prints the answer's
// attributes: stun-tcp ADDRESS:PORT.
func stunTCP() {
	if err := askPlain(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func askPlain(at string) error {
	c, err := stun.Dial("tcp", at)
	if err != nil {
		return err
	}
	defer c.Close()
	req, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return err
	}
	var failed error
	err = c.Do(req, func(e stun.Event) {
		if failed = e.Error; failed != nil {
			return
		}
		var seen stun.XORMappedAddress
		if failed = seen.GetFrom(e.Message); failed != nil {
			return
		}
		fmt.Printf("%s, seen as %s\n", e.Message.Type, seen.IP)
		for _, a := range e.Message.Attributes {
			fmt.Println(a.Type)
		}
		failed = stun.Fingerprint.Check(e.Message)
	})
	if err != nil {
		return err
	}
	return failed
}
