package journey

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"bankauth/internal/simulator"
)

func fintectureAccounts(b *simulator.Bank) source {
	customer := "" // of the newest consent; the bank sends it along with the code
	for _, g := range b.Truth().Grants {
		if g.Subject != "" {
			customer = g.Subject
		}
	}
	return source{url: b.URL() + "/ais/v1/customer/" + customer + "/accounts", header: http.Header{"App_id": {b.ClientID()}}, names: func(body []byte) []string {
		var v struct {
			Data []struct {
				Attributes struct {
					Name string `json:"account_name"`
				} `json:"attributes"`
			} `json:"data"`
		}
		_ = json.Unmarshal(body, &v) // without names the step fails
		var names []string
		for _, d := range v.Data {
			names = append(names, d.Attributes.Name)
		}
		return names
	}}
}

func flinksAccounts(b *simulator.Bank) source {
	return source{url: b.URL() + "/api/v1/accounts", names: func(body []byte) []string {
		var v struct {
			Accounts []struct {
				Deposit struct {
					Nickname string `json:"nickname"`
				} `json:"depositAccount"`
			} `json:"accounts"`
		}
		_ = json.Unmarshal(body, &v)
		var names []string
		for _, a := range v.Accounts {
			names = append(names, a.Deposit.Nickname)
		}
		return names
	}}
}

func finapiAccounts(b *simulator.Bank) source {
	return source{url: b.URL() + "/api/v2/accounts", names: func(body []byte) []string {
		var v struct {
			Accounts []struct {
				Name string `json:"accountName"`
			} `json:"accounts"`
		}
		_ = json.Unmarshal(body, &v)
		var names []string
		for _, a := range v.Accounts {
			names = append(names, a.Name)
		}
		return names
	}}
}

// read gets the accounts with the token that the vault holds under ref.
func (p *Play) read(ctx context.Context, ref string, from source) ([]string, error) {
	v, err := p.Vault(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close(ctx)
	record, err := v.Get(ctx, principal, ref)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from.url, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range from.header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", "Bearer "+record.Token.Access.Reveal())
	// A redirect would carry the token elsewhere.
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading accounts: status %d", response.StatusCode)
	}
	return from.names(body), nil
}
