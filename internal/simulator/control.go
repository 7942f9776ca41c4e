package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// control serves what tests of the finished program need.
func (b *Bank) control(mux *http.ServeMux) {
	mux.HandleFunc("GET /_simulator/truth", func(w http.ResponseWriter, _ *http.Request) { say(w, b.Truth()) })
	mux.HandleFunc("GET /_simulator/fault", func(w http.ResponseWriter, _ *http.Request) {
		list := []spelled{}
		for _, f := range b.Faults() {
			list = append(list, spell(f))
		}
		say(w, list)
	})
	mux.HandleFunc("DELETE /_simulator/fault", func(w http.ResponseWriter, _ *http.Request) {
		b.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_simulator/fault", func(w http.ResponseWriter, r *http.Request) {
		var s spelled
		if !heard(w, r, &s) {
			return
		}
		f, err := s.fault()
		if err != nil { // their own text comes back to them; no secret passes here
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b.SetFault(f)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_simulator/delay", b.slow)
	mux.HandleFunc("/_simulator/elsewhere", b.elsewhere)
	mux.HandleFunc("/_simulator/elsewhere/", b.elsewhere)
	mux.HandleFunc("GET /_simulator/consent", b.showConsent)
	mux.HandleFunc("POST /_simulator/consent", b.takeConsent)
}

func (b *Bank) slow(w http.ResponseWriter, r *http.Request) {
	var d struct{ Before, After text }
	if !heard(w, r, &d) {
		return
	}
	b.SetDelay(time.Duration(d.Before), time.Duration(d.After))
	w.WriteHeader(http.StatusNoContent)
}

func (b *Bank) elsewhere(w http.ResponseWriter, _ *http.Request) {
	b.tally.mu.Lock()
	b.tally.redirected++
	b.tally.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func say(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// heard reads a JSON body. It asks for the media type, which a page in a
// browser cannot send here without being asked for leave first.
func heard(w http.ResponseWriter, r *http.Request, v any) bool {
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != mediaJSON {
		http.Error(w, "send application/json", http.StatusUnsupportedMediaType)
		return false
	}
	d := json.NewDecoder(io.LimitReader(r.Body, 4*maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// text is a duration as Go spells it.
type text time.Duration

func (t text) MarshalText() ([]byte, error) { return []byte(time.Duration(t).String()), nil }

func (t *text) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*t = text(d)
	return err
}

// spelled is a Fault in JSON.
type spelled struct {
	Tool        string            `json:"tool,omitempty"`
	Method      string            `json:"method,omitempty"`
	Path        string            `json:"path,omitempty"`
	Grant       string            `json:"grant,omitempty"`
	Skip        int               `json:"skip,omitempty"`
	Times       int               `json:"times,omitempty"`
	DelayBefore text              `json:"delay_before,omitzero"`
	DropBefore  bool              `json:"drop_before,omitempty"`
	Commit      bool              `json:"commit,omitempty"`
	Status      int               `json:"status,omitempty"`
	Code        string            `json:"code,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Body        string            `json:"body,omitempty"`
	Body64      string            `json:"body_base64,omitempty"`
	Raw64       string            `json:"raw_base64,omitempty"`
	DelayAfter  text              `json:"delay_after,omitzero"`
	DropAfter   bool              `json:"drop_after,omitempty"`
	Truncate    int               `json:"truncate,omitempty"`
	Pad         int64             `json:"pad,omitempty"`
	Drip        text              `json:"drip,omitzero"`
	Reset       bool              `json:"reset,omitempty"`
}

func spell(f Fault) spelled {
	return spelled{Tool: f.Tool, Method: f.Method, Path: f.Path, Grant: f.Grant, Skip: f.Skip, Times: f.Times,
		DelayBefore: text(f.DelayBefore), DropBefore: f.DropBefore, Commit: f.Commit, Status: f.Status, Code: f.Code,
		Headers: f.Headers, Body64: base64.StdEncoding.EncodeToString([]byte(f.Body)),
		Raw64: base64.StdEncoding.EncodeToString([]byte(f.Raw)), DelayAfter: text(f.DelayAfter), DropAfter: f.DropAfter,
		Truncate: f.Truncate, Pad: f.Pad, Drip: text(f.Drip), Reset: f.Reset}
}

func (s spelled) fault() (Fault, error) {
	body, raw := []byte(s.Body), []byte(nil)
	var err error
	if s.Body64 != "" {
		if body, err = base64.StdEncoding.DecodeString(s.Body64); err != nil {
			return Fault{}, fmt.Errorf(`reading "body_base64": %w`, err)
		}
	}
	if raw, err = base64.StdEncoding.DecodeString(s.Raw64); err != nil {
		return Fault{}, fmt.Errorf(`reading "raw_base64": %w`, err)
	}
	if s.Status != 0 && (s.Status < 200 || s.Status > 599) {
		return Fault{}, fmt.Errorf("reading %q: %d is not one of 200 to 599", "status", s.Status)
	}
	return Fault{Tool: s.Tool, Method: s.Method, Path: s.Path, Grant: s.Grant, Skip: s.Skip, Times: s.Times,
		DelayBefore: time.Duration(s.DelayBefore), DropBefore: s.DropBefore, Commit: s.Commit, Status: s.Status,
		Code: s.Code, Headers: s.Headers, Body: string(body), Raw: string(raw), DelayAfter: time.Duration(s.DelayAfter),
		DropAfter: s.DropAfter, Truncate: s.Truncate, Pad: s.Pad, Drip: time.Duration(s.Drip), Reset: s.Reset}, nil
}
