package plan

// Transport is the protocol that carries a flow.
type Transport string

const (
	TCP Transport = "tcp"
	UDP Transport = "udp"
)

// Need is how much a site depends on a flow.
type Need string

const (
	Required    Need = "required"
	Conditional Need = "conditional" // only if the site uses that feature
	Optional    Need = "optional"
	Legacy      Need = "legacy"  // in the 2006 document, replaced since
	Unknown     Need = "unknown" // the vendor's pages do not say clearly
)

// Expect is what a flow should turn out to be.
type Expect string

const (
	ExpectOpen   Expect = "open"
	ExpectClosed Expect = "closed" // a port that must not be reachable
)

// Direction is which machine opens the connection.
type Direction string

const (
	Forward Direction = "forward" // from the machine that runs dial
	Reverse Direction = "reverse" // towards the machine that runs dial
)

// Opposite is the direction as the other end calls it.
func (d Direction) Opposite() Direction {
	if d == Reverse {
		return Forward
	}
	return Reverse
}
