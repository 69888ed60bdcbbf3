package service

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"dialtone/internal/result"
)

// SQL Browser (MC-SQLR) on UDP: which instances a machine has, and the TCP port
// of each. Clients that were given an instance's name and no port need it.
//
// The asking side asks for all instances. That an answer of this form comes
// back shows that the path passes the request out and the answer in, and
// nothing else: a request is one byte, or one with a name of 32 characters of
// text, and an answer is text about instances, so neither has room for a token,
// and nothing about it is keyed. Anybody on the path can write or change an
// answer, unnoticed. Only where our own listener should answer is what it never
// says called a change. The keyed proof of a UDP path is that of package echo, on the same port.

const (
	browserBroadcast = 0x02 // CLNT_BCAST_EX, section 2.2.1
	browserUnicast   = 0x03 // CLNT_UCAST_EX, section 2.2.2
	browserInstance  = 0x04 // CLNT_UCAST_INST, section 2.2.3
	browserResponse  = 0x05 // SVR_RESP, section 2.2.5

	// maxBrowserData bounds an answer, bytes. Section 2.2.5 lets one to the first
	// two requests be longer, which would come in fragments.
	maxBrowserData = 1024
	// maxBrowserName is that of an instance's name in a request, bytes.
	maxBrowserName = 32
	// maxBrowserFacts is how many instances go into a report.
	maxBrowserFacts = 20

	browserServer = "DIALTONE" // stands where the machine's name should
)

// An Instance is one SQL Server instance that SQL Browser tells of.
type Instance struct {
	Name    string // up to 32 letters, digits, _ and $; else it is left out
	Port    int    // TCP
	Version string // such as 15.0.2000.5; empty: what the TDS listener says
}

func askBrowser(Question) []byte { return []byte{browserUnicast} }

func readBrowser(b []byte, q Question) (result.Conversation, error) {
	var out result.Conversation
	instances, err := parseBrowser(b)
	if err != nil {
		return out, err
	}
	out.Software = "SQL Server Browser"
	for i, one := range instances {
		if one["servername"] != browserServer && len(out.Instances) < maxBrowserFacts {
			port, err := strconv.Atoi(one["tcp"])
			if err != nil || port < 1 || port > 65535 {
				port = 0
			}
			out.Instances = append(out.Instances, result.Instance{Name: shown(one["instancename"]), Port: port, Version: shown(one["version"])})
		}
		if i == maxBrowserFacts {
			out.Facts = append(out.Facts, result.Fact{Name: "more instances", Value: strconv.Itoa(len(instances) - i)})
			break
		}
		words := "version " + shown(one["version"])
		if p := one["tcp"]; p != "" {
			words += ", TCP port " + shown(p)
		} else {
			words += ", no TCP port"
		}
		out.Facts = append(out.Facts, result.Fact{Name: "instance " + shown(one["instancename"]), Value: words})
		if q.isOurs() && one["servername"] != browserServer {
			out.Changed = append(out.Changed, fmt.Sprintf("the answer is not the listener's: it names the server %s", shown(one["servername"])))
			break
		}
	}
	return out, nil
}

// parseBrowser reads an SVR_RESP. The names of the fields are in small letters;
// each instance has those of the server, the instance and the version.
func parseBrowser(b []byte) ([]map[string]string, error) {
	bad := func(what string) ([]map[string]string, error) { // it may be one all the same
		return nil, unreadError{"the answer is not as SQL Browser's: " + what}
	}
	switch {
	case len(b) < 3 || b[0] != browserResponse:
		return nil, foreignError{fmt.Sprintf("the answer is not SQL Browser's: it begins with %q", b[:min(len(b), 8)])}
	case int(binary.LittleEndian.Uint16(b[1:])) != len(b)-3: // clients do not take it either
		return bad(fmt.Sprintf("it says that it has %d bytes and has %d", binary.LittleEndian.Uint16(b[1:]), len(b)-3))
	case len(b) > 3 && !bytes.HasSuffix(b, []byte(";;")):
		return bad("it is cut off in the middle of an instance")
	}
	var out []map[string]string
	for _, text := range strings.Split(string(b[3:]), ";;") {
		if text == "" {
			continue
		}
		one := map[string]string{}
		fields := strings.Split(text, ";")
		for i := 0; i+1 < len(fields); i += 2 {
			one[strings.ToLower(fields[i])] = fields[i+1]
		}
		if one["servername"] == "" || one["instancename"] == "" || one["version"] == "" {
			return bad("an instance is not described")
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		return bad("it describes no instance")
	}
	return out, nil
}

func answerBrowser(a *Answerer, b []byte) []byte {
	var name []byte
	switch {
	case len(b) == 1 && (b[0] == browserBroadcast || b[0] == browserUnicast):
	case len(b) > 1 && b[0] == browserInstance:
		// The name ought to end with a zero, and some clients leave it away.
		name, _, _ = bytes.Cut(b[1:], []byte{0})
		if len(name) == 0 || len(name) > maxBrowserName {
			return nil
		}
	default:
		return nil
	}
	out := []byte{browserResponse, 0, 0}
	for _, one := range a.Instances {
		text := one.text()
		if text == "" || name != nil && !strings.EqualFold(one.Name, string(name)) || len(out)-3+len(text) > maxBrowserData {
			continue
		}
		out = append(out, text...)
	}
	if len(out) == 3 {
		return nil // SQL Browser stays silent then, and so the client waits in vain
	}
	binary.LittleEndian.PutUint16(out[1:], uint16(len(out)-3))
	return out
}

// text is what a response says of an instance (section 2.2.5); empty if it
// cannot stand there.
func (i Instance) text() string {
	version := i.Version
	if version == "" {
		v := tdsListenerVersion
		version = fmt.Sprintf("%d.%d.%d.%d", v[0], v[1], binary.BigEndian.Uint16(v[2:]), v[4])
	}
	allowed := func(s, more string) bool {
		return strings.Trim(s, "0123456789"+more) == ""
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_$"
	if i.Name == "" || len(i.Name) > maxBrowserName || !allowed(i.Name, letters) ||
		len(version) > 16 || !allowed(version, ".") || i.Port < 1 || i.Port > 65535 {
		return ""
	}
	return fmt.Sprintf("ServerName;%s;InstanceName;%s;IsClustered;No;Version;%s;tcp;%d;;", browserServer, i.Name, version, i.Port)
}
