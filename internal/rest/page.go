package rest

import (
	"compress/gzip"
	"embed"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/swaggest/swgui/v5/static"

	"bankauth/internal/problem"
)

//go:embed page
var pageFiles embed.FS

// policy lets the page run its own scripts and talk to its own server, and
// nothing else. Swagger UI draws its icons from data: addresses.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is a file of the page.
type asset struct {
	from   fs.FS
	name   string
	kind   string
	zipped bool
}

// page answers with Swagger UI, whose own page of swgui has a script in its
// text, which the policy forbids; so this one has its own.
func page() http.Handler {
	assets := map[string]asset{
		"":                     {pageFiles, "page/index.html", "text/html; charset=utf-8", false},
		"page.js":              {pageFiles, "page/page.js", "text/javascript; charset=utf-8", false},
		"page.css":             {pageFiles, "page/page.css", "text/css; charset=utf-8", false},
		"swagger-ui-bundle.js": {static.FS, "swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8", true},
		"swagger-ui.css":       {static.FS, "swagger-ui.css.gz", "text/css; charset=utf-8", true},
		"favicon-32x32.png":    {static.FS, "favicon-32x32.png", "image/png", false},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[strings.TrimPrefix(r.URL.Path, "/docs/")]
		if !ok {
			notThere(w, r)
			return
		}
		if problem.Takes(w, r, http.MethodGet) {
			a.serve(w, r)
		}
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	f, err := a.from.Open(a.name)
	if err != nil {
		notThere(w, r)
		return
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	var from io.Reader = f
	if a.zipped {
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
		} else if from, err = gzip.NewReader(f); err != nil {
			notThere(w, r)
			return
		}
	}
	_, _ = io.Copy(w, from) // it fails only where nobody reads any more
}
