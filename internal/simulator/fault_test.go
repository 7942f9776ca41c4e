package simulator_test

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"bankauth/internal/simulator"
)

func TestFaultsChooseTheirRequests(t *testing.T) {
	for name, f := range map[string]simulator.Fault{
		"tool":   {Tool: "refresh_token", Status: 503},
		"grant":  {Grant: "refresh_token", Status: 503},
		"path":   {Path: "/oauth/refreshtoken", Status: 503},
		"prefix": {Path: "/oauth/ref*", Method: "POST", Status: 503},
	} {
		c := fintecture(t, simulator.Fintecture{})
		c.bank.SetFault(f)
		if c.fintoken(pis).status != 200 || c.finrefresh("x").status != 503 {
			t.Errorf("%s: the wrong request was struck", name)
		}
	}
	k := flinks(t, simulator.Flinks{})
	k.bank.SetFault(simulator.Fault{Path: "/api/v1/revoke", Method: "DELETE", Status: 503})
	k.want(k.send("POST /api/v1/revoke", ""), 400)
	k.want(k.send("DELETE /api/v1/revoke", ""), 503)
	c := finapi(t, simulator.FinAPI{})
	c.bank.SetFault(simulator.Fault{Tool: "create_user", Status: 503})
	c.want(c.postUser("{}"), 503)
}

func TestFaultsAreCounted(t *testing.T) {
	c := fintecture(t, simulator.Fintecture{})
	c.bank.SetFault(simulator.Fault{Skip: 1, Times: 2, Status: 500})
	var seen []int
	for range 4 {
		seen = append(seen, c.fintoken(pis).status)
	}
	if seen[0] != 200 || seen[1] != 500 || seen[2] != 500 || seen[3] != 200 || c.bank.Truth().Struck != 2 {
		t.Errorf("statuses %v, struck %d", seen, c.bank.Truth().Struck)
	}
	c.bank.SetFault(simulator.Fault{Status: 500})
	c.bank.ClearFaults()
	c.want(c.fintoken(pis), 200)
}

func TestFaultsAnswer(t *testing.T) {
	for name, x := range map[string]struct {
		fault  simulator.Fault
		status int
		body   string
	}{
		"status alone":     {simulator.Fault{Status: 502}, 502, ""},
		"body alone":       {simulator.Fault{Body: "<html>"}, 200, "<html>"},
		"both":             {simulator.Fault{Status: 500, Body: "null"}, 500, "null"},
		"raw":              {simulator.Fault{Raw: "HTTP/1.1 418 No\r\nContent-Length: 2\r\n\r\nhi"}, 418, "hi"},
		"padded":           {simulator.Fault{Body: "{}", Pad: 100_000}, 200, "{}" + strings.Repeat(" ", 100_000)},
		"dripped":          {simulator.Fault{Body: "slow", Drip: time.Millisecond}, 200, "slow"},
		"body with commit": {simulator.Fault{Body: "x", Commit: true}, 200, "x"},
	} {
		c := fintecture(t, simulator.Fintecture{})
		c.bank.SetFault(x.fault)
		if r := c.fintoken(pis); r.status != x.status || r.body != x.body {
			t.Errorf("%s: %d %.100q", name, r.status, r.body)
		}
	}
}

func TestFaultsSpeakTheBanksTongue(t *testing.T) {
	fault := func(code string) simulator.Fault {
		return simulator.Fault{Status: 503, Code: code, Headers: map[string]string{"Retry-After": "7"}}
	}
	f := fintecture(t, simulator.Fintecture{})
	f.bank.SetFault(fault("service_unavailable"))
	r := f.want(f.fintoken(pis), 503, `"status":"503"`, `"code":"service_unavailable"`)
	if r.header.Get("Retry-After") != "7" {
		t.Errorf("headers: %v", r.header)
	}
	k := flinks(t, simulator.Flinks{})
	k.bank.SetFault(fault("temporarily_unavailable"))
	k.want(k.flirefresh("x"), 503, `{"error":"temporarily_unavailable"`)
	a := finapi(t, simulator.FinAPI{})
	a.bank.SetFault(fault("UNEXPECTED_ERROR"))
	a.want(a.login("x"), 503, `"code":"UNEXPECTED_ERROR"`)
	a.bank.ClearFaults()
	a.bank.SetFault(fault("invalid_token"))
	a.want(a.login("x"), 503, `{"error":"invalid_token"`)
}

// What was carried out before the mishap stays so, and what was not does not.
func TestFaultsAndTheCommit(t *testing.T) {
	for name, x := range map[string]struct {
		fault  simulator.Fault
		spent  bool
		failed bool
	}{
		"dropped before":     {simulator.Fault{DropBefore: true}, false, true},
		"dropped after":      {simulator.Fault{DropAfter: true}, true, true},
		"truncated":          {simulator.Fault{Truncate: 5}, true, true},
		"status":             {simulator.Fault{Status: 500}, false, false},
		"status with commit": {simulator.Fault{Status: 500, Commit: true}, true, false},
	} {
		c, token := opened(t, simulator.Rotation{Rotation: "strict"})
		x.fault.Tool, x.fault.Times = "refresh_token", 1
		c.bank.SetFault(x.fault)
		_, err := c.try("POST /api/v1/token", "{"+inBody+`,"grant_type":"refresh_token","refresh_token":"`+token+`"}`, "Content-Type", asJSON)
		if (err != nil) != x.failed {
			t.Errorf("%s: err = %v", name, err)
		}
		if spent := !c.bank.Alive(token); spent != x.spent {
			t.Errorf("%s: spent %v", name, spent)
		}
		if g, _ := c.bank.Truth().Refresh(token); g.Posts != 1 {
			t.Errorf("%s: %d posts", name, g.Posts)
		}
	}
}

func TestFaultsBreakConnections(t *testing.T) {
	c := fintecture(t, simulator.Fintecture{})
	call := func(f simulator.Fault) error {
		c.bank.ClearFaults()
		c.bank.SetFault(f)
		_, err := c.try("POST /oauth/accesstoken", pis, "Content-Type", asForm)
		return err
	}
	if err := call(simulator.Fault{DropAfter: true, Reset: true}); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
	if err := call(simulator.Fault{DropAfter: true}); !errors.Is(err, io.EOF) {
		t.Errorf("closed: %v", err)
	}
	if err := call(simulator.Fault{Truncate: 3}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated: %v", err)
	}
}

func TestDelays(t *testing.T) {
	c := fintecture(t, simulator.Fintecture{})
	took := func() time.Duration {
		began := time.Now()
		c.want(c.fintoken(pis), 200)
		return time.Since(began)
	}
	c.bank.SetDelay(30*time.Millisecond, 30*time.Millisecond)
	if d := took(); d < 60*time.Millisecond {
		t.Errorf("took %v", d)
	}
	c.bank.SetDelay(0, 0)
	c.bank.SetFault(simulator.Fault{DelayBefore: 30 * time.Millisecond, DelayAfter: 30 * time.Millisecond, Times: 1})
	if d := took(); d < 60*time.Millisecond {
		t.Errorf("took %v", d)
	}
}
