package listener

import (
	"testing"
	"time"

	"dialtone/internal/plan"
)

func TestStrangersOfAnAddressCountUnlessARunExplainsThem(t *testing.T) {
	l := start(t, Config{})
	strange(t, l, elsewhere)
	until := time.Now()
	if !l.strangersBefore(plan.TCP, int(l.at.Port()), elsewhere, until) {
		t.Error("a stranger is not counted")
	}
	if l.strangersBefore(plan.TCP, int(l.at.Port()), loop, until) {
		t.Error("a stranger from an address that none came from")
	}
	prove(t, elsewhere, l.at, newAsk()) // a run of that address, about then
	if l.strangersBefore(plan.TCP, int(l.at.Port()), elsewhere, until) {
		t.Error("a stranger beside a run")
	}
}
