package main

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
)

// canaries are the secrets of a test: each one that was made up, issued or
// seen on its way to a provider.
type canaries struct {
	mu    sync.Mutex
	known map[string]string // text → what it is
	made  int
}

func newCanaries() *canaries { return &canaries{known: map[string]string{}} }

// shortest is the least that a search can tell from chance.
const shortest = 12

// add keeps a secret. A text that is too short to be told from others is none.
func (c *canaries) add(what, text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.known[text]; !there && len(text) >= shortest {
		c.known[text] = what
	}
	return text
}

// issue makes up a secret. Every other one has characters that a URL, JSON or
// HTML must escape; the others are such as pass for a name.
func (c *canaries) issue(what string) string {
	c.mu.Lock()
	c.made++
	odd := c.made%2 == 1
	c.mu.Unlock()
	text := chance(26)
	if odd {
		text = chance(13) + "<&+/%>'=~" + chance(13)
	}
	return c.add(what, text)
}

// chance returns n letters and digits.
func chance(n int) string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

func (c *canaries) all() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]string, len(c.known))
	for text, what := range c.known {
		all[text] = what
	}
	return all
}

// needle is one form of a part of a secret.
type needle struct {
	text       string
	what, form string
}

// finder looks for all secrets in all forms in one pass over a text.
type finder map[uint64][]needle

// find returns a finder of the secrets that are known now.
func (c *canaries) find() finder {
	f := finder{}
	for text, what := range c.all() {
		f.add(what, text[:shortest])
		f.add(what, text[len(text)-shortest:])
	}
	return f
}

// add makes a needle of every form of a part. Escapes of a whole secret leave
// the letters at its ends alone, so that those are found as they are; the
// forms here are those that leave nothing alone.
func (f finder) add(what, part string) {
	put := func(form, text string) {
		key := binary.LittleEndian.Uint64([]byte(text))
		f[key] = append(f[key], needle{text, what, form})
	}
	put("raw", part)
	put("lower case", strings.ToLower(part))
	put("upper case", strings.ToUpper(part))
	put("hex", hex.EncodeToString([]byte(part)))
	put("HEX", strings.ToUpper(hex.EncodeToString([]byte(part))))
	for shift := range 3 {
		put(fmt.Sprintf("base64+%d", shift), aligned(base64.RawStdEncoding, part, shift))
		put(fmt.Sprintf("base64url+%d", shift), aligned(base64.RawURLEncoding, part, shift))
	}
	put("URL", each(part, "%%%02X"))
	put("url", each(part, "%%%02x"))
	put("JSON", each(part, `\u%04x`))
	put("HTML", each(part, "&#%d;"))
	put("html", each(part, "&#x%x;"))
	put("UTF-16", each(part, "%c\x00"))
	put("bytes", each(part, "%d "))
	put("little-endian words", word(part))
}

// aligned returns what is in the base64 of every text that has part after
// shift bytes, of three.
func aligned(e *base64.Encoding, part string, shift int) string {
	whole := (len(part) + shift) / 3 * 3
	text := e.EncodeToString([]byte(strings.Repeat("x", shift) + part)[:whole])
	return text[(shift*8+5)/6:]
}

func each(part, format string) string {
	var b strings.Builder
	for _, c := range []byte(part) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

// word is how a register or an argument word shows eight bytes of a text.
func word(part string) string {
	return fmt.Sprintf("%016x", binary.LittleEndian.Uint64([]byte(part)))
}

// leak is a secret where none should be.
type leak struct{ what, form, around string }

// in returns the leaks in b, and in what is compressed there.
func (f finder) in(b []byte) []leak {
	var leaks []leak
	for i := 0; i+8 <= len(b); i++ {
		for _, n := range f[binary.LittleEndian.Uint64(b[i:])] {
			if bytes.HasPrefix(b[i:], []byte(n.text)) {
				leaks = append(leaks, leak{n.what, n.form, string(b[max(0, i-60):min(len(b), i+len(n.text)+40)])})
			}
		}
	}
	member := []byte{0x1f, 0x8b, 8}
	for i := bytes.Index(b, member); i >= 0; {
		if z, err := gzip.NewReader(bytes.NewReader(b[i:])); err == nil {
			z.Multistream(false)
			plain, _ := io.ReadAll(io.LimitReader(z, 16<<20)) // what there is of it
			leaks = append(leaks, f.in(plain)...)
		}
		next := bytes.Index(b[i+1:], member)
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return leaks
}
