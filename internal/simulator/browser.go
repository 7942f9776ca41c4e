package simulator

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// visit is one user's way through the consent pages.
type visit struct {
	client      *http.Client
	user        string // "": a new one
	redirectURI string
	scope       string
	state       string
}

// visit plays the browser and returns the code.
func (b *Bank) visit(ctx context.Context, v visit) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	v.client = &http.Client{Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	v.state = b.random.hex(16)
	start, err := b.api.authorize(ctx, v)
	if err != nil {
		return "", err
	}
	code, err := v.consent(ctx, start)
	if err != nil {
		return "", fmt.Errorf("consenting at %q: %w", b.Name, err)
	}
	return code, nil
}

// consent opens the page, fills in the form and reads the redirect.
func (v visit) consent(ctx context.Context, start string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, start, nil)
	if err != nil {
		return "", err
	}
	res, err := v.client.Do(req)
	if err != nil {
		return "", err
	}
	action, fields, err := readForm(res)
	if err != nil {
		return "", err
	}
	if v.user != "" {
		fields.Set("user", v.user)
	}
	fields.Set("decision", "grant")
	target, err := req.URL.Parse(action)
	if err != nil {
		return "", err
	}
	req, err = http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", mediaForm)
	if res, err = v.client.Do(req); err != nil {
		return "", err
	}
	defer res.Body.Close()
	return v.returned(res)
}

func (v visit) returned(res *http.Response) (string, error) {
	to, err := res.Location()
	if err != nil || res.StatusCode != http.StatusFound {
		return "", fmt.Errorf("reading the redirect: status %d", res.StatusCode)
	}
	query := to.Query()
	switch {
	case query.Get("state") != v.state:
		return "", errors.New("reading the redirect: another state came back")
	case query.Get("code") == "":
		return "", fmt.Errorf("reading the redirect: no code but error %q", query.Get("error"))
	}
	return query.Get("code"), nil
}

// readForm returns where a page's form goes, and its fields.
func readForm(res *http.Response) (action string, fields url.Values, err error) {
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("opening the page: status %d", res.StatusCode)
	}
	d := xml.NewDecoder(io.LimitReader(res.Body, maxBody))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	fields = url.Values{}
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", nil, fmt.Errorf("reading the page: %w", err)
		}
		if e, ok := t.(xml.StartElement); ok {
			switch e.Name.Local {
			case "form":
				action = attribute(e, "action")
			case "input":
				fields.Set(attribute(e, "name"), attribute(e, "value"))
			}
		}
	}
	if action == "" {
		return "", nil, errors.New("reading the page: it has no form")
	}
	return action, fields, nil
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
