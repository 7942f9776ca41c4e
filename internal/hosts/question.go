package hosts

import (
	"strings"

	"bankauth/internal/config"
	"bankauth/schema"
)

// question is a setting that only the user knows.
type question struct {
	variable string
	title    string
	about    string // a sentence or two
	secret   bool
	yesNo    bool
	file     bool     // the answer is the path of a file
	rare     bool     // few need it: where asking costs the others something, it is passed on and not asked
	values   []string // nil when any text will do
	fallback string   // what holds where nobody answers; "" for nothing
}

const privateKey = "PRIVATE_KEY"

// questions returns what to ask for one provider: what its document and its
// overlay make use of.
func questions(p *schema.Provider) []question {
	titles := map[string]string{"CLIENT_ID": "client id", "CLIENT_SECRET": "client secret", "ENVIRONMENT": "environment"}
	if p.Signs() {
		titles[privateKey] = "private key"
	}
	if p.OwnServers {
		titles["BASE_URL"] = "server"
	}
	const ofProvider = "<PROVIDER>_"
	var all []question
	for _, row := range config.Table() {
		name, found := strings.CutPrefix(row.Variable, ofProvider)
		title, asked := titles[name]
		if !found || !asked {
			continue
		}
		q := ask(row, config.Prefix(p.Name)+"_"+name, p.Name+" "+title)
		q.rare = name == privateKey || name == "BASE_URL"
		all = append(all, q)
	}
	return all
}

// general returns what to ask for bankauth itself.
func general() []question {
	var all []question
	for _, row := range config.Table() {
		if row.Variable == "BANKAUTH_SIMULATE" {
			q := ask(row, row.Variable, "simulate the banks")
			q.yesNo, q.fallback = true, "false"
			all = append(all, q)
		}
	}
	return all
}

// ask returns the question for a setting, in the words of its declaration.
func ask(row config.Row, variable, title string) question {
	return question{variable: variable, title: title, about: row.Help, secret: row.Secret, values: row.Values, fallback: row.Default}
}

// onDisk is q where the server sees the user's files: a key comes as a file
// and stays there, rather than as a text of many lines.
func (q question) onDisk() question {
	if strings.HasSuffix(q.variable, "_"+privateKey) {
		q.variable, q.title, q.secret, q.file = q.variable+inFile, q.title+" file", false, true
	}
	return q
}

const inFile = "_FILE"
