package result

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
)

// What a report may hold at most, whatever its size: a few bytes of JSON can
// become a thousand of memory ({} in a list of paths).
const (
	// maxList bounds each list of a report.
	maxList = 16384
	// bytesOfObject and bytesOfValue bound its objects and all its values by the bytes
	// that a report of its kind may have. A plan of a thousand ports, each way, makes a
	// tenth of that.
	bytesOfObject = 64
	bytesOfValue  = 12
	// maxDepth bounds how deep objects and lists lie in each other, maxText each text
	// and name, in bytes.
	maxDepth = 32
	maxText  = 64 << 10
)

// maxOf bounds those lists that are known to be shorter, by their key.
var maxOf = map[string]int{"paths": 4096, "ports": 4096, "failed": 1024}

// bounded counts the objects of a report's JSON, of no more than limit bytes, and
// returns what of it is beyond the bounds, before anything is made of it. What is no
// JSON is for the decoder to say.
func bounded(b []byte, limit int64) (objects int64, _ error) {
	maxObjects, maxValues := limit/bytesOfObject, limit/bytesOfValue
	type level struct {
		key    string // by which it is known, in lower case: the decoder does not mind
		list   bool
		values int
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var in []level
	key, values := "", int64(0)
	for {
		t, err := d.Token()
		if err != nil {
			return objects, nil
		}
		end := t == json.Delim('}') || t == json.Delim(']')
		if n := len(in); n > 0 && !end {
			at := &in[n-1]
			text, isText := t.(string)
			if isText && len(text) > maxText {
				return 0, fmt.Errorf("line %d: a text has %d bytes, and %d are the most", line(b, d.InputOffset()), len(text), maxText)
			}
			if !at.list && at.values%2 == 0 { // its name comes first
				at.values++
				key = strings.ToLower(strings.ToUpper(text)) // ſ and the Kelvin sign, too
				continue
			}
			at.values++
			values++
			if most := cmp.Or(maxOf[at.key], maxList); at.list && at.values > most {
				return 0, fmt.Errorf("line %d: too many %s, and %d are the most", line(b, d.InputOffset()), cmp.Or(at.key, "values in a list"), most)
			}
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if t == json.Delim('{') {
				objects++
			}
			if len(in) == maxDepth {
				return 0, fmt.Errorf("line %d: more than %d objects and lists lie in each other", line(b, d.InputOffset()), maxDepth)
			}
			in, key = append(in, level{key: key, list: t == json.Delim('[')}), ""
		case json.Delim('}'), json.Delim(']'):
			in = in[:len(in)-1]
		}
		if objects > maxObjects || values > maxValues {
			return 0, fmt.Errorf("line %d: it has more than %d objects or %d values, and no report has", line(b, d.InputOffset()), maxObjects, maxValues)
		}
	}
}
