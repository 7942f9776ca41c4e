// Package secret holds what must never be printed.
//
// A Value is opened only by calling Reveal, and the files that may do so are
// listed in the repository's own test. Every other way out (fmt, JSON, text,
// a log event, an error) says "[secret]".
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
)

// Mask is what a Value shows of itself.
const Mask = "[secret]"

// Value is a secret text. The zero Value holds the empty string.
//
// The text sits in a closure, so that fmt cannot reach it even where a Value
// lies in an unexported field and its methods may not be called.
type Value struct{ open func() string }

// New returns a Value that holds s.
func New(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{open: func() string { return s }}
}

// Reveal returns the text. Call it only where the byte leaves for its owner.
func (v Value) Reveal() string {
	if v.open == nil {
		return ""
	}
	return v.open()
}

// IsZero reports whether v holds no text.
func (v Value) IsZero() bool { return v.open == nil }

// Equal compares in constant time. A Value is not comparable with ==.
func (v Value) Equal(o Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(o.Reveal())) == 1
}

// String returns Mask, or "" for the zero Value.
func (v Value) String() string {
	if v.IsZero() {
		return ""
	}
	return Mask
}

// GoString returns what String returns.
func (v Value) GoString() string { return v.String() }

// Format writes Mask for every verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, v.String()) }

// MarshalText returns Mask; JSON, XML and most loggers come through here.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalBinary returns Mask, so that gob holds nothing either.
func (v Value) MarshalBinary() ([]byte, error) { return []byte(v.String()), nil }
