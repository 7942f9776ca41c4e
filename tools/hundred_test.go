package tools_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/mark3labs/mcp-go/mcp"

	"context"

	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// generated is one of many third-party banks; what they have differs with the
// number, as banks differ.
type generated struct {
	N      int
	AllOwn bool // each has an argument that nobody else has
}

func (g generated) Name() string      { return fmt.Sprintf("bank-%03d", g.N) }
func (g generated) JSON() bool        { return g.N%2 == 0 }
func (g generated) Password() bool    { return g.N%3 == 0 }
func (g generated) Users() bool       { return g.N%5 == 0 }
func (g generated) Own() bool         { return g.AllOwn || g.N%20 == 7 } // an argument that nobody else has
func (g generated) Description() bool { return g.N%4 == 0 }              // describes things in its own words

var generatedDocument = template.Must(template.New("document").Parse(`openapi: 3.1.0
info: {title: {{.Name}}, version: '1'}
servers: [{url: https://{{.Name}}.example}]
paths:
  /token:
    post:
      operationId: token
      requestBody:
        content:
          {{if .JSON}}application/json{{else}}application/x-www-form-urlencoded{{end}}:
            schema:
              type: object
              required: [grant_type]
              properties:
                grant_type: {type: string, enum: [client_credentials, authorization_code, refresh_token{{if .Password}}, password{{end}}], description: The OAuth 2.0 grant.}
                client_id: {type: string}
                client_secret: {type: string}
                refresh_token: {type: string}
                code: {type: string, description: {{if .Description}}The code that {{.Name}} put into the address of the redirect after consent.{{else}}Authorization code from the redirect.{{end}}}
                redirect_uri: {type: string, format: uri, description: The redirect URI of the authorization request.}
                scope: {type: string, description: {{if .Description}}What {{.Name}} shall open.{{else}}What the token is for.{{end}}}
                username: {type: string, description: Id of the user.}
                password: {type: string}
                {{if .Own}}tenant_{{.N}}: {type: string, description: The tenant at {{.Name}}.}{{end}}
      responses:
        '200':
          description: the token
          content:
            application/json:
              schema: {type: object, properties: {access_token: {type: string}, expires_in: {type: integer}, refresh_token: {type: string}}}
  /users:
    post:
      operationId: user
      requestBody:
        content:
          application/json:
            schema: {type: object, required: [email], properties: {email: {type: string, description: Email address of the user., example: a@example.org}, id: {type: string, description: Wanted id.}, password: {type: string}}}
      responses:
        '201':
          description: the user
          content:
            application/json:
              schema: {type: object, properties: {id: {type: string}, email: {type: string, description: The user's email address.}}}
`))

var generatedOverlay = template.Must(template.New("overlay").Parse(`overlay: 1.0.0
info: {title: How bankauth reads {{.Name}}, version: 1.0.0}
actions:
  - target: $
    update:
      x-bankauth-provider:
        name: {{.Name}}
        title: Bank {{.N}}
        environments: {production: https://{{.Name}}.example}
        rotation: {mode: strict}
        errors: {codes: [/error], rules: []}
  - target: $.paths['/token'].post
    update:
      x-bankauth-operation:
        serves: [create_access_token, refresh_token]
        auth: {style: body}
        grants: {client_credentials: {note: for the application}}
{{if .Users}}  - target: $.paths['/users'].post
    update: {x-bankauth-operation: {serves: [create_user], auth: {style: bearer, grant: client_credentials}, answer: {user: /id}}}
{{end}}  - target: $..properties.client_id
    update: {x-bankauth-field: {held: client_id}}
  - target: $..properties.client_secret
    update: {x-bankauth-field: {held: client_secret}}
  - target: $..properties.password
    update: {x-bankauth-field: {held: password}}
  - target: $.paths['/token']..properties.refresh_token
    update: {x-bankauth-field: {held: refresh_token}}
  - target: $.paths['/token']..properties['code', 'redirect_uri']
    update: {x-bankauth-field: {grants: [authorization_code], required: true}}
  - target: $.paths['/token']..properties.username
    update: {x-bankauth-field: {grants: [{{if .Password}}password{{else}}authorization_code{{end}}]{{if .Password}}, required: true{{else}}, hide: true{{end}}}}
`))

// hundred opens the tools over the three and n generated banks.
func hundred(t *testing.T, n int) (*house, []*schema.Provider) { return hundredOf(t, n, false) }

func hundredOf(t *testing.T, n int, allOwn bool) (*house, []*schema.Provider) {
	t.Helper()
	var banks []tools.Bank
	var all []*schema.Provider
	transport := providers.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	for i := range n {
		g := generated{i + 1, allOwn}
		var doc, overlay strings.Builder
		if err := generatedDocument.Execute(&doc, g); err != nil {
			t.Fatal(err)
		}
		if err := generatedOverlay.Execute(&overlay, g); err != nil {
			t.Fatal(err)
		}
		p, err := schema.Compile(g.Name()+".yaml", []byte(doc.String()), g.Name()+".overlay.yaml", []byte(overlay.String()))
		if err != nil {
			t.Fatal(err)
		}
		c, err := providers.New(p, providers.Options{Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		missing := strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")) + "_CLIENT_ID"
		banks, all = append(banks, tools.Bank{Client: c, Missing: []string{missing}}), append(all, p)
	}
	return open(t, with(banks...)), all
}

// TestAHundredProviders: the list stays within its bounds, however many
// providers there are, and says where the rest is.
func TestAHundredProviders(t *testing.T) {
	for _, n := range []int{1, 5, 10, 30, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			h, all := hundred(t, n)
			list := listed(t, h.Set)
			clean(t, list, mostList, "E01 create_access_token.provider", "E01 create_user.provider")
			t.Logf("%d bytes", len(list))
			for _, tool := range h.Tools() {
				told := !strings.Contains(tool.Description, "- "+all[0].Name)
				if tool.Name == schema.CreateAccessToken && told && !strings.Contains(tool.Description, "resource bankauth://providers/{name}") {
					t.Errorf("what is left out is said to be nowhere: %s", tool.Description)
				}
			}
			for i, p := range all {
				if i%7 == 0 || i == n-1 {
					resourceHolds(t, h, p)
				}
			}
		})
	}
}

// TestAHundredWithTheirOwn: where each bank has an argument that no other has,
// those are not listed, and the schema lets them pass.
func TestAHundredWithTheirOwn(t *testing.T) {
	h, all := hundredOf(t, 100, true)
	list := listed(t, h.Set)
	if len(list) > mostList {
		t.Errorf("tools/list has %d bytes, at most %d are allowed", len(list), mostList)
	}
	if bytes.Contains(list, []byte("tenant_")) || !bytes.Contains(list, []byte(resourceOfAll)) {
		t.Error("an argument of one bank among a hundred belongs into its resource")
	}
	var decoded struct {
		Tools []struct {
			Name        string
			InputSchema map[string]any
		}
	}
	if err := json.Unmarshal(list, &decoded); err != nil {
		t.Fatal(err)
	}
	if closed, has := decoded.Tools[0].InputSchema["additionalProperties"]; has {
		t.Errorf("%s must let unlisted arguments pass, it says %v", decoded.Tools[0].Name, closed)
	}
	resourceHolds(t, h, all[42])
	got := h.fault(schema.CreateAccessToken, `{"provider":"bank-042","grant_type":"client_credentials","tenant_42":"x"}`)
	if got["code"] != "not_configured" {
		t.Errorf("an unlisted argument is taken all the same: %v", got)
	}
}

const resourceOfAll = "resource bankauth://providers/{name}"

// resourceHolds checks that a provider's resource has what a call needs.
func resourceHolds(t *testing.T, h *house, p *schema.Provider) {
	t.Helper()
	uri := "bankauth://providers/" + p.Name
	m := h.Server("test", func(context.Context) string { return tools.Local })
	message, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": map[string]any{"uri": uri}})
	r, ok := m.HandleMessage(t.Context(), message).(mcp.JSONRPCResponse)
	if !ok {
		t.Fatalf("%s cannot be read", uri)
	}
	text := r.Result.(mcp.ReadResourceResult).Contents[0].(mcp.TextResourceContents).Text
	var about struct {
		Name  string
		Tools map[string][]struct {
			GrantType string `json:"grant_type"`
			Arguments []struct {
				Name, Description string
				Required          bool
				Schema            map[string]any
			}
			Example map[string]any
		}
	}
	if err := json.Unmarshal([]byte(text), &about); err != nil || about.Name != p.Name {
		t.Fatalf("%s: %s %v", uri, text, err)
	}
	for _, op := range p.Operations {
		if op.Tool == schema.RefreshToken || op.Tool == schema.Revoke {
			continue
		}
		for i, g := range op.Grants {
			said := about.Tools[op.Tool][i]
			var names, required []string
			for _, a := range said.Arguments {
				names = append(names, a.Name)
				if a.Required {
					required = append(required, a.Name)
				}
				if a.Description == "" || a.Schema["type"] == nil {
					t.Errorf("%s %s: %s is not described", uri, g.Name, a.Name)
				}
			}
			if said.GrantType != g.Name || !slices.Equal(names, g.Arguments) || !slices.Equal(required, g.Required) || said.Example["provider"] != p.Name {
				t.Errorf("%s does not say how to call %s %s: %+v", uri, op.Tool, g.Name, said)
			}
		}
	}
}

// TestErrorsSufficeAmongAHundred: a model that knows nothing but the list
// reaches a call that fits by doing what the errors say.
func TestErrorsSufficeAmongAHundred(t *testing.T) {
	h, all := hundred(t, 100)
	for _, p := range all {
		for _, op := range p.Operations {
			if op.Tool == schema.RefreshToken || op.Tool == schema.Revoke {
				continue
			}
			for _, g := range op.Grants {
				args := map[string]any{"provider": p.Name, "force": true, "iban": "x"}
				if g.Name != "" {
					args["grant_type"] = g.Name
				}
				for range 3 {
					b, _ := json.Marshal(args)
					out, failed := h.call(op.Tool, string(b))
					e := object(out["error"])
					if !failed || e["code"] != "invalid_argument" {
						break
					}
					follow(args, e)
				}
				b, _ := json.Marshal(args)
				if e := h.fault(op.Tool, string(b)); e["code"] != "not_configured" {
					t.Errorf("%s %s: after three corrections %v", op.Tool, b, e)
				}
			}
		}
	}
}

// follow does what an error says.
func follow(args, e map[string]any) {
	example := object(e["example"])
	for _, list := range []string{"not_allowed", "required"} {
		names, _ := e[list].([]any)
		for _, n := range names {
			if delete(args, n.(string)); list == "required" {
				args[n.(string)] = example[n.(string)]
			}
		}
	}
}
