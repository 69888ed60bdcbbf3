package result

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// A report is refused for what it would become, before it does: {} in a list of
// paths is three bytes, and a thousand in memory.
func TestParseRefusesWhatWouldGrow(t *testing.T) {
	const head = `{"schema":"` + Schema + `","run":"x",`
	fill := func(before, unit, after string) string {
		return head + before + strings.Repeat(unit, (MaxReport-len(head)-len(before)-len(after))/len(unit)) + after
	}
	lists := func(n int) string { // as many as are allowed, in as many lists
		return fill(`"paths":[{"initiator":{"connections":[`+strings.Repeat("{},", n-1)+`{}]}`, `,"a":[`+strings.Repeat("{},", n-1)+`{}]`, `}]}`)
	}
	for name, c := range map[string]struct{ in, want string }{
		"empty paths":              {fill(`"paths":[{}`, `,{}`, `]}`), "too many paths, and 4096 are the most"},
		"paths, called otherwise":  {fill(`"PATHS":[{}`, `,{}`, `]}`), "too many paths, and 4096 are the most"},
		"and by another letter":    {fill("\"path\u017f\":[{}", `,{}`, `]}`), "and 4096 are the most"},
		"connections of one path":  {fill(`"paths":[{"initiator":{"connections":[{}`, `,{}`, `]}}]}`), "too many connections, and 16384 are the most"},
		"many lists":               {lists(1000), "more than 262144 objects"},
		"a list of nothing":        {fill(`"findings":[null`, `,null`, `]}`), "too many findings"},
		"an object of many":        {fill(`"x":{"a":0`, `,"a":0`, `}}`), "values, and no report has"},
		"paths again and again":    {fill(`"paths":[`+strings.Repeat("{},", 4095)+"{}]", `,"paths":[`+strings.Repeat("{},", 4095)+"{}]", `}`), "more than 262144 objects"},
		"lists in lists":           {fill(`"x":`, `[`, ``), "more than 32 objects and lists lie in each other"},
		"one text":                 {fill(`"run":"`, `x`, `"}`), "a text has 16"},
		"one name":                 {fill(`"`, `x`, `":0}`), "a text has 16"},
		"a text that is not ended": {fill(`"run":"`, `x`, ``), "cut off"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseReport([]byte(c.in), MaxReport)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want …%s…", name, err, c.want)
		}
		const most = 512 << 20 // in all; much less at a time
		if n := after.TotalAlloc - before.TotalAlloc; n > most {
			t.Errorf("%s: %d MiB were taken for %d", name, n>>20, len(c.in)>>20)
		}
	}
}

// Several reports take no more together than there is room for.
func TestReportsTakeNoMoreThanTheirRoom(t *testing.T) {
	one := []byte(`{"schema":"` + Schema + `","run":"x","mode":"paths","findings":[` + strings.Repeat("{},", 999) + `{}]}`)
	for name, room := range map[string]Room{
		"bytes":   {Bytes: 2*int64(len(one)) + 1, Objects: 1 << 20},
		"objects": {Bytes: 1 << 20, Objects: 2100},
	} {
		for n := range 3 {
			_, err := room.Parse(one, MaxReport)
			if (err != nil) != (n == 2) || err != nil && !strings.Contains(err.Error(), "give fewer files at a time") {
				t.Errorf("%s, number %d: %v", name, n+1, err)
			}
		}
	}
}

// What a large plan makes is read.
func TestParseReadsALargeReport(t *testing.T) {
	var b strings.Builder
	for i := range 4000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"flow":"a%d","verdict":"open","direction":"forward","transport":"tcp","family":"ip4","expect":"open","proof":"keyed","initiator":{"connections":[%s{"purpose":"proof"}]}}`,
			i, strings.Repeat(`{"purpose":"sample","reached":"done","ended":"well"},`, 20))
	}
	r, err := ParseReport([]byte(`{"schema":"`+Schema+`","run":"x","mode":"paths","paths":[`+b.String()+`]}`), MaxReport)
	if err != nil || len(r.Paths) != 4000 || len(r.Paths[3999].Initiator.Connections) != 21 {
		t.Errorf("%v", err)
	}
}
