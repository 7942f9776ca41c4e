package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"bankauth/internal/secret"
)

const text = "HUNTER2-canary"

type holder struct{ inner secret.Value }
type open struct{ Inner secret.Value }

func TestNothingPrintsIt(t *testing.T) {
	v := secret.New(text)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", v)
		fmt.Fprintf(&out, verb+"\n", &v)
		fmt.Fprintf(&out, verb+"\n", holder{v})
		fmt.Fprintf(&out, verb+"\n", open{v})
	}
	for _, x := range []any{v, &v, open{v}, map[string]any{"k": v}} {
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	b, err := xml.Marshal(open{v})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	if err := gob.NewEncoder(&out).Encode(open{v}); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v, "h", holder{v})
	l := zerolog.New(&out)
	l.Info().Interface("v", v).Interface("h", holder{v}).Stringer("s", v).Msgf("%v", v)
	fmt.Fprint(&out, fmt.Errorf("wrapping %v: %w", v, errors.New("x")))
	if strings.Contains(out.String(), text) || strings.Contains(out.String(), "HUNTER") {
		t.Fatalf("the secret got out:\n%s", out.String())
	}
	if !strings.Contains(out.String(), secret.Mask) {
		t.Fatal("nothing was written: this test could not fail")
	}
}

func TestValue(t *testing.T) {
	v := secret.New(text)
	if v.Reveal() != text || v.IsZero() {
		t.Error("a Value must give back what it holds")
	}
	if !v.Equal(secret.New(text)) || v.Equal(secret.New("other")) || v.Equal(secret.Value{}) {
		t.Error("Equal must compare the texts")
	}
	var zero secret.Value
	if zero.Reveal() != "" || !zero.IsZero() || !secret.New("").IsZero() || zero.String() != "" {
		t.Error("the zero Value holds the empty string")
	}
}
