package result

// A NameFault is why a name gave no address to dial; "": not known.
type NameFault string

const (
	NameAbsent     NameFault = "no-such-name"   // a name server said that there is none (NXDOMAIN, RFC 1035 section 4.1.1)
	NameEmpty      NameFault = "no-address"     // one said that it has no address (RFC 2308 section 2.2), or is an alias of a name that has none
	NameUnanswered NameFault = "no-answer"      // no name server that was asked could tell
	NameNoServer   NameFault = "no-name-server" // this machine is not told whom to ask
	NameFamily     NameFault = "other-family"   // it has none of the families that are to be dialed from
)
