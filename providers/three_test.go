package providers

import "bankauth/schema"

// Three providers with rules that the tests know, in the shapes of the bundled
// ones. What the bundled ones send is in TestGoldenRequests.

func fintecture() *schema.Provider {
	answer := schema.Answer{Statuses: []int{200}, AccessToken: "/access_token", TokenType: "/token_type",
		RefreshToken: "/refresh_token", Scope: "/scope",
		Lifetime: schema.Lifetime{At: "/expires_in", Unit: schema.UnitSeconds, Zero: "unknown", Missing: "unknown", Assume: 3600},
		Fields:   tokenFields()}
	return &schema.Provider{
		Name: "fintecture", Title: "Fintecture", Document: "fintecture.yaml",
		Environments: []schema.Environment{{Name: "sandbox", URL: "https://api-sandbox.fintecture.com"},
			{Name: "production", URL: "https://api.fintecture.com"}},
		Credentials: schema.Credentials{ClientID: "app_id", ClientSecret: "app_secret"},
		Rotation:    schema.Rotation{Mode: "unknown"},
		Errors: schema.Errors{Codes: []string{"/errors/0/code", "/code", "/error"}, Rules: []schema.Rule{
			{Code: "invalid_code", Fault: "invalid_argument", Say: "the code is wrong or has expired", Hint: "ask for consent again"},
			{Code: "invalid_token", Tool: schema.RefreshToken, Fault: "reauthorize", Say: "the grant has ended", Hint: "ask for consent again"},
			{Code: "invalid_app_id", Fault: "credentials_rejected", Say: "the app_id is not known", Hint: "set FINTECTURE_CLIENT_ID"},
		}},
		Operations: []*schema.Operation{
			{ID: "createAccessToken", Method: "POST", Path: "/oauth/accesstoken", Tool: schema.CreateAccessToken,
				Media: schema.MediaForm, Auth: schema.Auth{Style: schema.AuthBasic}, Answer: answer,
				Fields: []schema.Field{field("grant_type"), field("code"), field("redirect_uri"), field("scope"),
					held("client_id"), held("client_secret")},
				Grants: []schema.Grant{
					{Name: schema.GrantAuthorizationCode, Arguments: []string{"code", "redirect_uri", "scope"}, Required: []string{"code"},
						Fixed: map[string]string{"scope": "AIS"}},
					{Name: schema.GrantClientCredentials, Arguments: []string{"scope"}, Fixed: map[string]string{"app_id": "{client_id}"}},
				}},
			{ID: "createRefreshToken", Method: "POST", Path: "/oauth/refreshtoken", Tool: schema.RefreshToken,
				Media: schema.MediaForm, Auth: schema.Auth{Style: schema.AuthBasic}, Answer: answer,
				Fields: []schema.Field{field("grant_type"), held("refresh_token"), held("client_id"), held("client_secret")},
				Grants: []schema.Grant{{Name: schema.GrantRefreshToken, Required: []string{"refresh_token"}}}},
		},
	}
}

func flinks() *schema.Provider {
	answer := schema.Answer{Statuses: []int{200}, AccessToken: "/access_token", TokenType: "/token_type",
		RefreshToken: "/refresh_token", Scope: "/scope", Subject: "jwt",
		Lifetime: schema.Lifetime{At: "/expires_in", Unit: schema.UnitSeconds, Zero: "unknown", Missing: "unknown"},
		Fields:   tokenFields()}
	fields := []schema.Field{field("grant_type"), held("client_id"), held("client_secret"), field("code"),
		field("redirect_uri"), held("refresh_token"), field("scope")}
	grant := func(name string, required ...string) schema.Grant {
		return schema.Grant{Name: name, Required: required, Arguments: required}
	}
	return &schema.Provider{
		Name: "flinks", Title: "Flinks", Document: "flinks.yaml",
		Environments: []schema.Environment{{Name: "production", URL: "https://ob.flinksapp.com"}},
		Credentials:  schema.Credentials{ClientID: "client_id", ClientSecret: "client_secret"},
		Rotation:     schema.Rotation{Mode: "none"},
		Errors: schema.Errors{Codes: []string{"/error"}, Rules: []schema.Rule{
			{Code: "invalid_grant", Tool: schema.RefreshToken, Fault: "reauthorize", Say: "the grant has ended", Hint: "ask for consent again"},
			{Code: "invalid_grant", Fault: "invalid_argument", Say: "the code is wrong or has expired", Hint: "ask for consent again"},
			{Code: "invalid_client", Fault: "credentials_rejected", Say: "the client is not known", Hint: "set FLINKS_CLIENT_ID"},
			{Code: "temporarily_unavailable", Fault: "unavailable", Say: "out of service", Hint: "wait"},
		}},
		Operations: []*schema.Operation{
			{ID: "token", Method: "POST", Path: "/api/v1/token", Tool: schema.CreateAccessToken, Media: schema.MediaJSON,
				Auth: schema.Auth{Style: schema.AuthBody}, Fields: fields, Answer: answer,
				Grants: []schema.Grant{grant(schema.GrantClientCredentials), grant(schema.GrantAuthorizationCode, "code", "redirect_uri")}},
			{ID: "token", Method: "POST", Path: "/api/v1/token", Tool: schema.RefreshToken, Media: schema.MediaJSON,
				Auth: schema.Auth{Style: schema.AuthBody}, Fields: fields, Answer: answer,
				Grants: []schema.Grant{grant(schema.GrantRefreshToken, "refresh_token")}},
		},
	}
}

func finapi() *schema.Provider {
	answer := schema.Answer{Statuses: []int{200}, AccessToken: "/access_token", TokenType: "/token_type",
		RefreshToken: "/refresh_token", Scope: "/scope",
		Lifetime: schema.Lifetime{At: "/expires_in", Unit: schema.UnitSeconds, Zero: "never", Missing: "unknown"},
		Fields:   tokenFields()}
	fields := []schema.Field{field("grant_type"), held("client_id"), held("client_secret"), held("refresh_token"),
		field("username"), held("password")}
	token := func(tool string, grants ...schema.Grant) *schema.Operation {
		return &schema.Operation{ID: "getToken", Method: "POST", Path: "/api/v2/oauth/token", Tool: tool, Media: schema.MediaForm,
			Auth: schema.Auth{Style: schema.AuthBody}, Fields: fields, Answer: answer, Grants: grants}
	}
	update := field("isAutoUpdateEnabled")
	update.Type = "boolean"
	user := []schema.Field{field("id"), held("password"), field("email"), field("phone"), update}
	return &schema.Provider{
		Name: "finapi", Title: "finAPI", Document: "finapi.yaml", RequestID: "X-Request-Id",
		Environments: []schema.Environment{{Name: "sandbox", URL: "https://sandbox.finapi.io"}, {Name: "production", URL: "https://live.finapi.io"}},
		Rotation:     schema.Rotation{Mode: "unknown"},
		Errors: schema.Errors{Codes: []string{"/errors/0/code", "/error"}, Rules: []schema.Rule{
			{Code: "ENTITY_EXISTS", Status: 422, Tool: schema.CreateUser, Fault: "conflict", Say: "a user with this id exists", Hint: "choose another id"},
			{Code: "invalid_grant", Tool: schema.RefreshToken, Fault: "reauthorize", Say: "the grant has ended", Hint: "log the user in again"},
			{Status: 423, Fault: "reauthorize", Say: "the user is locked", Hint: "set a new password"},
			{Code: "BAD_REQUEST", Fault: "invalid_argument", Say: "an argument does not fit", Hint: "check the arguments"},
		}},
		Operations: []*schema.Operation{
			token(schema.CreateAccessToken, schema.Grant{Name: schema.GrantClientCredentials},
				schema.Grant{Name: schema.GrantPassword, Arguments: []string{"username"}, Required: []string{"username", "password"}}),
			token(schema.RefreshToken, schema.Grant{Name: schema.GrantRefreshToken, Required: []string{"refresh_token"}}),
			{ID: "createUser", Method: "POST", Path: "/api/v2/users", Tool: schema.CreateUser, Media: schema.MediaJSON,
				Auth:   schema.Auth{Style: schema.AuthBearer, Grant: schema.GrantClientCredentials},
				Fields: user, Grants: []schema.Grant{{Arguments: []string{"id", "email", "phone", "isAutoUpdateEnabled"}}},
				Answer: schema.Answer{Statuses: []int{201}, User: "/id", Password: "/password", Fields: user}},
		},
	}
}

func field(name string) schema.Field {
	return schema.Field{Name: name, Argument: name, Type: "string"}
}

func held(name string) schema.Field {
	return schema.Field{Name: name, Argument: name, Type: "string", Held: name, Secret: name != "client_id"}
}

func tokenFields() []schema.Field {
	life := field("expires_in")
	life.Type = "integer"
	return []schema.Field{{Name: "access_token", Argument: "access_token", Type: "string", Secret: true}, field("token_type"), life,
		{Name: "refresh_token", Argument: "refresh_token", Type: "string", Secret: true}, field("scope")}
}
