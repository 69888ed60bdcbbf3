package verdict

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// oldTLS says that what was agreed under TLS is old, or that it was agreed only
// with an old client's hello; "" otherwise.
func oldTLS(i *result.Initiator) string {
	if i == nil || i.Conversation == nil {
		return ""
	}
	t := i.Conversation
	version, cipher := t.Fact(result.FactTLSVersion), t.Fact(result.FactCipher)
	isOld := slices.Contains([]string{"SSLv3", "TLS 1.0", "TLS 1.1"}, version)
	isWeak := strings.Contains(cipher, "RC4") || strings.Contains(cipher, "3DES")
	first := t.Fact(result.FactFirstHello)
	var text string
	switch {
	case isOld:
		text = fmt.Sprintf("%s with %s was agreed, which is old (RFC 8996): a client of today, as Windows 11 sets one up, refuses it", version, cipher)
	case isWeak:
		text = fmt.Sprintf("%s with %s was agreed, a cipher that is old and weak: a client of today may refuse it", version, cipher)
	case first != "" && version != "":
		text = fmt.Sprintf("%s was agreed with an old client's hello only", version)
	}
	if text != "" && first != "" {
		text += "; today's hello was " + first
	}
	return text
}

// brokenChain says that a server does not show by whom its certificate can be
// trusted, where this machine does not know it either; "" otherwise.
func brokenChain(i *result.Initiator) string {
	if i == nil || i.Conversation == nil || i.Conversation.Fact(result.FactChain) == "" {
		return ""
	}
	return fmt.Sprintf("the server's chain of certificates is incomplete here: %s. Either the server leaves out an intermediate certificate, or its issuer is an institution's own, whose root each client must have", i.Conversation.Fact(result.FactChain))
}
