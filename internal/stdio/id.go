package stdio

import (
	"bytes"
	"strconv"
	"strings"
)

// idKey returns what two ids have in common exactly if they are the same JSON
// value: 1 and "1" differ, 1 and 1.0 do not.
func idKey(raw []byte) string {
	if raw[0] == '"' {
		if bytes.IndexByte(raw, '\\') < 0 {
			return string(raw)
		}
		return `"` + string(unescape(raw[1:len(raw)-1])) + `"`
	}
	if bytes.ContainsAny(raw, ".eE") || string(raw) == "-0" {
		return numberKey(string(raw))
	}
	return string(raw)
}

// numberKey writes a number as its digits, without zeros at either end, and
// its exponent; whole numbers that fit are written out, as they mostly come.
// It does no arithmetic on the digits, so 1e999999 costs nothing.
func numberKey(s string) string {
	sign, s := cut(s, "-")
	exp := 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		n, err := strconv.Atoi(s[i+1:])
		if err != nil {
			return sign + s // nobody sends the same absurd number in two spellings
		}
		exp, s = n, s[:i]
	}
	if i := strings.IndexByte(s, '.'); i >= 0 {
		exp -= len(s) - i - 1
		s = s[:i] + s[i+1:]
	}
	s = strings.TrimLeft(s, "0")
	if s == "" {
		return "0"
	}
	short := strings.TrimRight(s, "0")
	exp += len(s) - len(short)
	if exp >= 0 && exp <= 32 {
		return sign + short + strings.Repeat("0", exp)
	}
	return sign + short + "e" + strconv.Itoa(exp)
}

func cut(s, prefix string) (string, string) {
	if rest, ok := strings.CutPrefix(s, prefix); ok {
		return prefix, rest
	}
	return "", s
}
