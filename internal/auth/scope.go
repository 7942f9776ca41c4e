package auth

import "bankauth/schema"

// ScopeOf returns the scope that a call of the tool needs; ok is false where
// there is no such tool.
func ScopeOf(tool string) (scope string, ok bool) {
	switch tool {
	case schema.CreateAccessToken:
		return TokensCreate, true
	case schema.RefreshToken:
		return TokensRefresh, true
	case schema.CreateUser:
		return UsersCreate, true
	}
	return "", false
}
