package result

// ProxyHeaderWords is what listen answers, instead of anything else, where a
// connection begins with a header of the PROXY protocol (haproxy's, versions 1 and
// 2), so that the end that dials can tell what was put before its request.
const ProxyHeaderWords = "A PROXY protocol header came before the request."
