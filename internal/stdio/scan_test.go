package stdio

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzScan holds the scanner against encoding/json: what it takes is valid
// and means the same to both; what it refuses is invalid, or refused for the
// reason it names.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":[1,-0.5e+3,true,false,null]}}}`,
		`{"jsonrpc":"2.0","id":"\u00e9\ud83d\ude00","method":"ping"}`, `{"jsonrpc":"2.0","id":1,"Method":"ping"}`,
		`{"jsonrpc":"2.0","id":1,"id":2,"method":"p"}`, `{"jsonrpc":"2.0","result":{},"id":1}`, `[]`, `{}`, `null`, `1`, `"\ud800"`, "\"\xff\"",
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":01}}`, `{"a":"\u0000"}`, `{"paramſ":1}`, strings.Repeat("[", 70),
		`{"jsonrpc":"2.0","id":-,"method":"x"}`, `{"jsonrpc":"2.0","id":1.,"method":"x"}`, `{"a" 1}`, `{"a":1,}`, `{,}`, `[1 2]`, `[,]`, `tru`, ` {} `, `{"a":"\x"}`, "{\"a\":\"\t\"}", "{\"result\":{},\"\xe2\":0}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.ContainsAny(line, "\n") {
			return
		}
		var s scanner
		env, why := s.scan(bytes.Clone(line))
		valid := json.Valid(line)
		switch why {
		case fine:
			if !valid || !utf8.Valid(line) && env.hasMethod {
				t.Fatalf("took %q", line)
			}
			sameMeaning(t, line, env)
		case notJSON, trailing:
			if valid {
				t.Fatalf("refused %q as invalid", line)
			}
		case notUTF8:
			if utf8.Valid(line) {
				t.Fatalf("refused %q as invalid UTF-8", line)
			}
		case tooDeep:
			if depth(line) <= maxDepth {
				t.Fatalf("refused %q as too deep", line)
			}
		case isBatch:
			if bytes.TrimSpace(line)[0] != '[' {
				t.Fatalf("refused %q as a batch", line)
			}
		case hasNUL:
			if !bytes.Contains(line, []byte(`\u0000`)) && bytes.IndexByte(line, 0) < 0 {
				t.Fatalf("refused %q for a NUL", line)
			}
		case halfRune:
			if !bytes.Contains(bytes.ToLower(line), []byte(`\ud`)) {
				t.Fatalf("refused %q for half a rune", line)
			}
		case keyTwice, keyCase:
			if !repeats(line) {
				t.Fatalf("refused %q for its keys", line)
			}
		default:
			if !valid {
				t.Fatalf("refused the invalid %q for reason %d", line, why)
			}
		}
	})
}

func sameMeaning(t *testing.T, line []byte, env envelope) {
	var m struct {
		JSONRPC string
		ID      json.RawMessage
		Method  *string
		Result  json.RawMessage
		Error   json.RawMessage
		Params  json.RawMessage
	}
	if err := json.Unmarshal(line, &m); err != nil {
		if env.hasAnswer && !env.hasMethod {
			return // never looked at
		}
		t.Fatalf("took %q: %v", line, err)
	}
	if env.hasAnswer && !env.hasMethod {
		return
	}
	if m.Method == nil || *m.Method != string(env.method) || !bytes.Equal(m.ID, env.id) || m.JSONRPC != "2.0" {
		t.Fatalf("%q: method %q, id %s", line, env.method, env.id)
	}
	var p struct{ RequestID json.RawMessage }
	if json.Unmarshal(m.Params, &p) == nil && env.requestID != nil && !bytes.Equal(p.RequestID, env.requestID) {
		t.Fatalf("%q: requestId %s", line, env.requestID)
	}
}

// depth is how deep the brackets outside strings go, at most.
func depth(b []byte) int {
	d, most, quoted := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			d++
			most = max(most, d)
		case c == '}' || c == ']':
			d--
		}
	}
	return most
}

// repeats reports whether any object has two keys alike, or one that is a
// name of ours but for its case.
func repeats(line []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(line))
	var open []map[string]bool
	key := false
	for {
		tok, err := dec.Token()
		if err != nil {
			return err != io.EOF // broken further on
		}
		switch v := tok.(type) {
		case json.Delim:
			switch v {
			case '{':
				open, key = append(open, map[string]bool{}), true
				continue
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
		case string:
			if key {
				lower := strings.ToLower(strings.NewReplacer("ſ", "s", "K", "k").Replace(v))
				exact, _ := known(atTop, []byte(v))
				folded, _ := known(atTop, []byte(lower))
				exactIn, _ := known(inParams, []byte(v))
				_, variantIn := known(inParams, []byte(v))
				last := open[len(open)-1]
				if last[lower] || folded && !exact || !exactIn && variantIn {
					return true
				}
				for k := range last {
					if strings.EqualFold(k, v) {
						return true
					}
				}
				last[lower] = true
				key = false
				continue
			}
		}
		key = len(open) > 0 && open[len(open)-1] != nil
	}
}

func TestIDKey(t *testing.T) {
	for _, same := range [][]string{
		{`1`, `1.0`, `1e0`, `10e-1`, `0.1E+1`}, {`0`, `-0`, `0.0`, `0e9`}, {`100`, `1e2`, `1.00e2`}, {`-1.5`, `-15e-1`}, {`"1"`, `"\u0031"`}, {`"/"`, `"\/"`},
		{`1e999999`, `10e999998`}, {`12345678901234567890123`, `1.2345678901234567890123e22`},
	} {
		for _, id := range same {
			if idKey([]byte(id)) != idKey([]byte(same[0])) {
				t.Errorf("%s and %s have keys %s and %s", id, same[0], idKey([]byte(id)), idKey([]byte(same[0])))
			}
		}
	}
	seen := map[string]string{}
	for _, id := range []string{`1`, `"1"`, `-1`, `1.5`, `15`, `9007199254740992`, `9007199254740993`, `""`, `"a"`, `"A"`, `1e33`, `1e34`, `1e99999999999999999999`} {
		if other, ok := seen[idKey([]byte(id))]; ok {
			t.Errorf("%s and %s have the same key", id, other)
		}
		seen[idKey([]byte(id))] = id
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	line := []byte(`{"jsonrpc":"2.0","id":12345,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"fintecture","grant_type":"client_credentials","scope":"caller-17","force":true}}}`)
	var s scanner
	if n := testing.AllocsPerRun(100, func() { s.scan(line) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkScan(b *testing.B) {
	line := []byte(`{"jsonrpc":"2.0","id":12345,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"fintecture","grant_type":"client_credentials","scope":"caller-17","force":true}}}`)
	var s scanner
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, why := s.scan(line); why != fine {
			b.Fatal(why)
		}
	}
}
