package simulator_test

import (
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"bankauth/internal/simulator"
)

// A command line without a flag must mean what the zero Switches mean.
func TestDefaultsAgreeWithTheTags(t *testing.T) {
	var parsed simulator.Switches
	parser, err := kong.New(&parsed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(simulator.Switches{}.Settled(), parsed); diff != "" {
		t.Errorf("zero means (-), the tags say (+):\n%s", diff)
	}
	if diff := cmp.Diff(parsed, parsed.Settled()); diff != "" {
		t.Errorf("settling changed what was settled:\n%s", diff)
	}
}

func TestEverySwitchHasHelp(t *testing.T) {
	parser, err := kong.New(&simulator.Switches{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, flags := range parser.Model.AllFlags(false) {
		for _, f := range flags {
			if n++; f.Help == "" {
				t.Errorf("--%s has no help", f.Name)
			}
		}
	}
	if n < 40 {
		t.Errorf("%d flags only", n)
	}
}
