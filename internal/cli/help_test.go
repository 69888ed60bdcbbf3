package cli

import (
	"slices"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestGapsOfAGuideAreTold(t *testing.T) {
	flags := func(names ...string) (out []cli.Flag) {
		for _, n := range names {
			out = append(out, &cli.BoolFlag{Name: n})
		}
		return out
	}
	app := WithGuide(&cli.App{
		Name: "ring", Flags: flags("loud", "lost"),
		Commands: []*cli.Command{{Name: "twice", Flags: flags("soft", "astray")}},
	}, Guide{
		Groups: []Group{{"How", []string{"loud", "soft"}}},
		Examples: map[string][]Example{
			"":       {{"sudo ring --loud", "as root"}, {"bell --loud", "another program"}},
			"twice":  {{"ring twice --soft", "right"}, {"ring twice --loud", "the program's, not this command's"}},
			"thrice": {{"ring thrice", "no command"}},
		},
	})
	want := []string{
		`"bell --loud" is no example of ring`,
		`"ring twice --loud": there is no --loud`,
		"examples of thrice, which is no command",
		"no group has --lost",
		"no group has twice --astray",
	}
	if got := slices.Sorted(slices.Values(Gaps(app))); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
