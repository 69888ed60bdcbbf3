package report

import "dialtone/internal/result"

// renderJSON writes exactly the struct.
func renderJSON(r *result.Report, _ Options) ([]byte, error) { return result.Encode(r) }
