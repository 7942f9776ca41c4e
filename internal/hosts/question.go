package hosts

import (
	"strings"

	"bankauth/internal/config"
)

// question is a setting that only the user knows.
type question struct {
	variable string
	title    string
	about    string // a sentence or two
	secret   bool
	yesNo    bool
	values   []string // nil when any text will do
	fallback string   // what holds where nobody answers; "" for nothing
}

// questions returns what to ask for one provider.
func questions(provider string) []question {
	const ofProvider = "<PROVIDER>_"
	return asked(map[string]string{
		ofProvider + "CLIENT_ID":     provider + " client id",
		ofProvider + "CLIENT_SECRET": provider + " client secret",
		ofProvider + "ENVIRONMENT":   provider + " environment",
	}, func(variable string) string {
		return config.Prefix(provider) + "_" + strings.TrimPrefix(variable, ofProvider)
	})
}

// general returns what to ask for bankauth itself.
func general() []question {
	all := asked(map[string]string{"BANKAUTH_SIMULATE": "simulate the banks"}, func(variable string) string { return variable })
	all[0].yesNo, all[0].fallback = true, "false"
	return all
}

// asked returns a question for each setting that has a title, in the order of
// their declaration and in its words.
func asked(titles map[string]string, name func(variable string) string) []question {
	var all []question
	for _, row := range config.Table() {
		if title, ok := titles[row.Variable]; ok {
			all = append(all, question{variable: name(row.Variable), title: title, about: row.Help, secret: row.Secret, values: row.Values, fallback: row.Default})
		}
	}
	return all
}
