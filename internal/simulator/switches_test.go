package simulator_test

import (
	"reflect"
	"testing"
	"time"

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

// TestNoLifetimeIsNegative: Negative names each lifetime, whoever adds one.
func TestNoLifetimeIsNegative(t *testing.T) {
	var s simulator.Switches
	if got := s.Negative(); got != "" {
		t.Errorf("nothing is negative, and %s is named", got)
	}
	found := 0
	var each func(v reflect.Value)
	each = func(v reflect.Value) {
		for i := range v.NumField() {
			switch f := v.Field(i); {
			case f.Kind() == reflect.Struct:
				each(f)
			case f.Type() == reflect.TypeFor[time.Duration]():
				f.SetInt(-1)
				if found++; s.Negative() == "" {
					t.Errorf("a negative %s is not named", v.Type().Field(i).Name)
				}
				f.SetInt(0)
			}
		}
	}
	each(reflect.ValueOf(&s).Elem())
	if found < 12 {
		t.Errorf("%d lifetimes were found", found)
	}
}
