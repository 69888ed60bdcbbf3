package result

// A Fetch is what a browser told of its requests to one port of our own listener. It
// tells neither how a connection ended nor from which port it came.
type Fetch struct {
	Outcome FetchOutcome `json:"outcome"`
	ElapMS  float64      `json:"elapsed_ms"` // of the request that tells of it, by the browser
	// Proxy are signs that a proxy carried the requests: header fields that only one
	// writes, or another source address than the page had.
	Proxy []string `json:"proxy,omitempty"`
	// TLS: what came to the port in that time began with TLS, where plain HTTP was asked
	// for.
	TLS bool `json:"tls,omitempty"`
	// Rule is a rule of the browser's own that forbids the request, in a sentence; "":
	// none is known to.
	Rule string `json:"rule,omitempty"`
}

// A FetchOutcome is how a browser's request ended.
type FetchOutcome string

const (
	FetchAnswered  FetchOutcome = "answered"  // the listener's answer arrived
	FetchFailed    FetchOutcome = "failed"    // the browser gave it up, and does not say why
	FetchTimeout   FetchOutcome = "timeout"   // nothing came of it in the time that it had
	FetchForbidden FetchOutcome = "forbidden" // by a rule of the browser's own: nothing was sent
)
