package simulator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// Visited is the page on which a person's way through a consent ended.
type Visited struct {
	URL    *url.URL // its address, with what the bank sent along
	Status int
	Header http.Header
	Body   string
}

// Consent plays a person with a browser: it opens address, which must lead to
// a consent page of the simulator, presses one of its two buttons, and goes
// where it is sent. Cookies are kept on the way, as a browser does.
func Consent(ctx context.Context, address string, grant bool) (Visited, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return Visited{}, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	browser := &http.Client{Transport: transport, Jar: jar, Timeout: 30 * time.Second}
	page, err := get(ctx, browser, http.MethodGet, address, "")
	if err != nil {
		return Visited{}, err
	}
	at := page.Request.URL
	action, fields, err := readForm(page)
	if err != nil {
		return Visited{}, fmt.Errorf("consenting: %w", err)
	}
	fields.Set("decision", map[bool]string{true: "grant", false: "deny"}[grant])
	to, err := at.Parse(action)
	if err != nil {
		return Visited{}, err
	}
	page, err = get(ctx, browser, http.MethodPost, to.String(), fields.Encode())
	if err != nil {
		return Visited{}, err
	}
	defer page.Body.Close()
	body, err := io.ReadAll(io.LimitReader(page.Body, maxBody))
	return Visited{URL: page.Request.URL, Status: page.StatusCode, Header: page.Header, Body: string(body)}, err
}

func get(ctx context.Context, browser *http.Client, method, address, form string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	if form != "" {
		req.Header.Set("Content-Type", mediaForm)
	}
	return browser.Do(req)
}
