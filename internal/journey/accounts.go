package journey

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// fintectureAccounts are those of the customer who consented: a token's subject.
func fintectureAccounts(customer string) source {
	return source{path: "/ais/v1/customer/" + customer + "/accounts", names: func(body []byte) []string {
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

func flinksAccounts() source {
	return source{path: "/api/v1/accounts", names: func(body []byte) []string {
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

func finapiAccounts() source {
	return source{path: "/api/v2/accounts", names: func(body []byte) []string {
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

// read gets the accounts through the proxy, with the token_ref as bearer. What
// was sent and what came back belongs to what the agent sees.
func (p *Play) read(ctx context.Context, base, ref string, from source) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+from.path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+ref)
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	_, _ = request.Header.Write(&p.used), response.Header.Write(&p.used) // a buffer takes all
	fmt.Fprintf(&p.used, "%s\n%s\n", request.URL, body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading accounts: status %d", response.StatusCode)
	}
	return from.names(body), nil
}
