package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// statuses are those that a provider, or what stands before it, might give.
var statuses = []int{200, 201, 202, 203, 204, 206, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411,
	412, 413, 414, 415, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 599}

// manners are the ways to misbehave, by name.
func manners() map[string]manner {
	all := map[string]manner{}
	for _, status := range statuses {
		all[fmt.Sprintf("%d JSON", status)] = func(w http.ResponseWriter, q *asked) {
			q.headers(w.Header(), status)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(q.echo(status))
		}
		all[fmt.Sprintf("%d HTML", status)] = func(w http.ResponseWriter, q *asked) {
			q.headers(w.Header(), status)
			w.Header().Set("Content-Type", "text/html; charset="+q.pick(0))
			w.WriteHeader(status)
			fmt.Fprintf(w, "<html><title>%d</title><pre>%s</pre>", status, strings.Join(q.secrets, "\n"))
		}
	}
	maps.Copy(all, shapes())
	maps.Copy(all, wires())
	return all
}

// with answers with the good answer and something that does not belong there.
func with(change func(q *asked, good map[string]any)) manner {
	return func(w http.ResponseWriter, q *asked) {
		change(q, q.good)
		well(w, q)
	}
}

// whole answers 200 with a text of its own.
func whole(text func(q *asked) string) manner {
	return func(w http.ResponseWriter, q *asked) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(text(q)))
	}
}

func object(v any) string { b, _ := json.Marshal(v); return string(b) }

// shapes are answers in whose JSON something is wrong.
func shapes() map[string]manner {
	all := map[string]manner{
		"error beside the token":  with(func(q *asked, good map[string]any) { good["error"] = q.pick(0) }),
		"token is a number":       with(func(q *asked, good map[string]any) { good["access_token"] = 4711 }),
		"token is an object":      with(func(q *asked, good map[string]any) { good["access_token"] = map[string]any{q.pick(0): q.pick(1)} }),
		"token with a line break": with(func(q *asked, good map[string]any) { good["access_token"] = q.pick(0) + "\r\nX: " + q.pick(1) }),
		"token with NUL":          with(func(q *asked, good map[string]any) { good["access_token"] = q.pick(0) + "\x00" + q.pick(1) }),
		"token too long":          with(func(q *asked, good map[string]any) { good["access_token"] = strings.Repeat(q.pick(0), 1000) }),
		"JWT about a secret":      with(func(q *asked, good map[string]any) { good["access_token"] = q.jwt() }),
		"secrets are the names": with(func(q *asked, good map[string]any) {
			for _, s := range q.secrets {
				good[s] = s
			}
		}),
		"null":                   whole(func(q *asked) string { return "null" }),
		"string":                 whole(func(q *asked) string { return object(strings.Join(q.secrets, " ")) }),
		"array":                  whole(func(q *asked) string { return object(q.secrets) }),
		"byte order mark":        whole(func(q *asked) string { return "\ufeff" + object(q.good) }),
		"cut in the token":       whole(func(q *asked) string { return strings.TrimRight(object(q.good), `}"`) }),
		"twice":                  whole(func(q *asked) string { return object(q.good) + object(q.echo(0)) }),
		"keys twice":             whole(func(q *asked) string { return strings.TrimSuffix(object(q.good), "}") + "," + object(q.echo(0))[1:] }),
		"not UTF-8":              whole(func(q *asked) string { return `{"access_token":"` + q.pick(1) + "\xff\xfe" + `"}` }),
		"larger than we read":    whole(func(q *asked) string { return object(q.good) + strings.Repeat(q.pick(0)+" ", 5000) }),
		"deep":                   whole(func(q *asked) string { return strings.Repeat(`{"`+q.pick(0)+`":`, 5000) }),
		"nested error":           whole(func(q *asked) string { return object(map[string]any{"error": q.echo(0), "errors": []any{q.echo(1)}}) }),
		"expires_in of a secret": with(func(q *asked, good map[string]any) { good["expires_in"] = q.pick(0) }),
		"a user of another name": with(func(q *asked, good map[string]any) { good["password"] = q.bank.secrets.issue("password") }),
	}
	for _, name := range places {
		for n := range 4 {
			all[fmt.Sprintf("secret %d in %s", n, name)] = with(func(q *asked, good map[string]any) { good[name] = q.pick(n) })
		}
	}
	return all
}

// jwt returns a token that says a secret of whom it is about.
func (q *asked) jwt() string {
	head, _ := json.Marshal(map[string]string{"alg": "none"})
	body, _ := json.Marshal(map[string]string{"sub": q.secrets[q.came-1]})
	return q.bank.secrets.add("access token", forms["base64url 1"](string(head))+"."+strings.TrimRight(forms["base64url"](string(body)), "=")+"."+chance(20))
}

// wires are answers that HTTP does not know.
func wires() map[string]manner {
	shut := func(c net.Conn) { _ = c.Close() }
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }
	late := func(c net.Conn) { time.Sleep(20 * time.Millisecond); _ = c.Close() }
	send := func(after func(net.Conn), text func(q *asked, body string) string) manner {
		return func(w http.ResponseWriter, q *asked) { raw(w, text(q, object(q.good)), after) }
	}
	head := func(body string, extra ...string) string {
		return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + strings.Join(extra, "") + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	}
	return map[string]manner{
		"closed":                 send(shut, func(q *asked, body string) string { return "" }),
		"reset":                  send(reset, func(q *asked, body string) string { return "" }),
		"reset in the body":      send(reset, func(q *asked, body string) string { return head(body) + body[:20] }),
		"truncated":              send(shut, func(q *asked, body string) string { return head(body) + body[:len(body)-5] }),
		"longer than its length": send(late, func(q *asked, body string) string { return head(body) + body + strings.Join(q.secrets, "\n") }),
		"a second answer": send(late, func(q *asked, body string) string {
			return head(body) + body + "HTTP/1.1 200 " + q.pick(0) + "\r\n\r\n" + body
		}),
		"secret as the reason":   send(shut, func(q *asked, body string) string { return "HTTP/1.1 400 " + strings.Join(q.secrets, " ") + "\r\n\r\n" }),
		"secret as the status":   send(shut, func(q *asked, body string) string { return "HTTP/1.1 " + q.pick(0) + " OK\r\n\r\n" }),
		"secret as the protocol": send(shut, func(q *asked, body string) string { return strings.Join(q.secrets, "\r\n") + "\r\n\r\n" }),
		"secret as the length": send(shut, func(q *asked, body string) string {
			return "HTTP/1.1 200 OK\r\nContent-Length: " + q.pick(0) + "\r\n\r\n" + body
		}),
		"two lengths": send(shut, func(q *asked, body string) string { return head(body, "Content-Length: "+q.pick(0)+"\r\n") + body }),
		"secret as the encoding": send(shut, func(q *asked, body string) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + q.pick(0) + "\r\n\r\n" + body
		}),
		"secret as the compression": send(shut, func(q *asked, body string) string { return head(body, "Content-Encoding: "+q.pick(0)+"\r\n") + body }),
		"secret as a header":        send(shut, func(q *asked, body string) string { return head(body, q.pick(0)+"\r\n", " "+q.pick(1)+"\r\n") + body }),
		"secret as a chunk": send(shut, func(q *asked, body string) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + q.pick(0) + "\r\n" + body
		}),
		"secret in a trailer": send(shut, func(q *asked, body string) string {
			return chunked(body) + "X-T: " + q.pick(0) + "\r\n" + q.pick(1) + "\r\n\r\n"
		}),
		"headers without end": send(late, func(q *asked, body string) string { return "HTTP/1.1 200 OK\r\nX: " + strings.Repeat(q.pick(0), 4000) }),
		"information first": send(shut, func(q *asked, body string) string {
			return "HTTP/1.1 103 Early\r\nLink: " + q.pick(0) + "\r\n\r\n" + head(body) + body
		}),
		"another protocol": send(shut, func(q *asked, body string) string {
			return "HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: " + q.pick(0) + "\r\n\r\n" + body
		}),
		"HTTP/2":                      send(shut, func(q *asked, body string) string { return "\x00\x00\x12\x04\x00\x00\x00\x00\x00" + q.pick(0) }),
		"length with a secret in TLS": send(shut, func(q *asked, body string) string { return "\x15\x03\x01\x00\x02\x02\x50" + q.pick(0) }),
		"slow": func(w http.ResponseWriter, q *asked) {
			for _, c := range []byte(object(q.good)) {
				_, _ = w.Write([]byte{c})
				w.(http.Flusher).Flush()
				time.Sleep(50 * time.Microsecond)
			}
		},
	}
}

func chunked(body string) string {
	return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strconv.FormatInt(int64(len(body)), 16) + "\r\n" + body + "\r\n0\r\n"
}

// slow holds the answer back for a while, and says when it does.
func slow(held chan<- bool) manner {
	return func(w http.ResponseWriter, q *asked) {
		held <- true
		time.Sleep(200 * time.Millisecond)
		well(w, q)
	}
}
