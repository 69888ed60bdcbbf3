package service

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Another service that has a row's port is called by its name, and nothing on the
// way is accused of it.
func TestAnotherServiceOnThePortIsNamed(t *testing.T) {
	const both = "SMTP or FTP"
	for first, who := range map[string]string{
		"SSH-2.0-OpenSSH_9.2p1\r\n":                        "SSH",
		"+OK Dovecot ready.\r\n":                           "POP3",
		"* OK [CAPABILITY IMAP4rev1] ready\r\n":            "IMAP",
		"RFB 003.008\n":                                    "VNC",
		"RTSP/1.0 400 Bad Request\r\n\r\n":                 "RTSP",
		"220 mail.example.edu ESMTP Postfix\r\n":           "SMTP",
		"220 ProFTPD Server ready\r\n":                     "FTP",
		"220 here\r\n":                                     both,
		"200 news.example.edu InterNetNews ready\r\n":      "NNTP",
		"\xff\xfd\x18\xff\xfd\x20Welcome\r\nlogin: ":       "Telnet",
		"\x4a\x00\x00\x00\x0a8.0.36\x00":                   "MySQL",
		"E\x00\x00\x00\x60SFATAL\x00C0A000\x00":            "PostgreSQL",
		"\x00\x00\x00\x40\xfeSMB\x40\x00":                  "SMB",
		"\x04\x01\x00\x0b\x00\x00\x01\x00abc":              "TDS 7",
		"\x03\x00\x00\x0b\x06\xd0\x00\x00\x12\x34\x00":     "RDP",
		"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00": "LDAP",
		"\xb5\x13\x83\x02\x05\xe0":                         "Z39.50",
		"\xbf\x30\x05\x9f\x81\x53\x01\x04":                 "Z39.50",
		"\x73\x18\x80\x01\x02\xa1\x00":                     "ISO ILL",
		// a portal or a proxy may say that on any port, or nobody knows
		"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n": "",
		"\x15\x03\x01\x00\x02\x02\x0a":                          "",
		"Go away\r\n":                                           "",
		"\x01\x02\x03\x04garbage":                               "",
		"":                                                      "",
	} {
		if got := servedBy([]byte(first)); got != who {
			t.Errorf("%q is of %q, want %q", first, got, who)
		}
	}
	says := func(words string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = io.WriteString(c, words)
			_, _ = io.Copy(io.Discard, c)
		}
	}
	for _, speaks := range spoken() {
		if speaks == "odyssey" { // nobody knows its language
			continue
		}
		t.Run(string(speaks), func(t *testing.T) {
			t.Parallel()
			c := askReal(t, everyTime(t, says("SSH-2.0-OpenSSH_9.2p1 Debian\r\n")), speaks, "ils.example.edu")
			if c.Refusal == nil || c.Refusal.Reason != result.ReasonAnother || !strings.Contains(c.Refusal.Words, "speaks SSH, and the row says ") {
				t.Errorf("%+v %+v", c, c.Refusal)
			}
			c = askReal(t, everyTime(t, func(c net.Conn) { _, _ = io.WriteString(c, "Who are you?\r\n") }), speaks, "ils.example.edu")
			if c.Refusal != nil {
				t.Errorf("of somebody unknown: %+v", c.Refusal)
			}
		})
	}
}

// FTP and SMTP greet alike: what they know tells them apart.
func TestFTPAndSMTPAreToldApart(t *testing.T) {
	server := func(greeting, no string, knows map[string]string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = io.WriteString(c, greeting+"\r\n")
			for lines := bufio.NewScanner(c); lines.Scan(); {
				verb, _, _ := strings.Cut(lines.Text(), " ")
				reply, ok := knows[verb]
				if !ok {
					reply = no
				}
				_, _ = io.WriteString(c, reply+"\r\n")
			}
		}
	}
	mail := map[string]string{"EHLO": "250 mail", "QUIT": "221 bye"}
	files := map[string]string{"USER": "331 password", "PASS": "530 no", "QUIT": "221 bye"}
	for name, tc := range map[string]struct {
		far    func(net.Conn)
		speaks plan.Protocol
		want   result.Reason // "": it is the row's
	}{
		"mail on FTP's port, 502":       {server("220 here", "502 5.5.2 command not recognized", mail), "ftp", result.ReasonAnother},
		"mail on FTP's port, 503":       {server("220 here", "503 5.5.1 EHLO first", mail), "ftp", result.ReasonAnother},
		"files on FTP's port":           {server("220 here", "502 what", files), "ftp", ""},
		"no strangers on FTP's port":    {server("220 here", "500 what", map[string]string{"USER": "530 no strangers", "QUIT": "221 bye"}), "ftp", ""},
		"no such user on FTP's port":    {server("220 here", "500 what", map[string]string{"USER": "550 no such user", "QUIT": "221 bye"}), "ftp", ""},
		"files on mail's port, 500":     {server("220 here", "500 not understood", files), "smtp", result.ReasonAnother},
		"files on mail's port, 530":     {server("220 here", "530 Please login with USER and PASS.", files), "smtp", result.ReasonAnother},
		"mail that wants a login":       {server("220 here", "530 5.7.0 Authentication required", nil), "smtp", result.ReasonTurnedAway},
		"mail that wants TLS":           {server("220 here", "530 Must issue a STARTTLS command first", nil), "smtp", result.ReasonNeedsTLS},
		"mail that knows nobody's EHLO": {server("220 mail ESMTP", "502 command not implemented", nil), "smtp", result.ReasonTurnedAway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := askReal(t, everyTime(t, tc.far), tc.speaks, "mx.example.edu")
			got := result.Reason("")
			if c.Refusal != nil {
				got = c.Refusal.Reason
			}
			if got != tc.want || tc.want == "" && c.Outcome != result.ConversationCompleted {
				t.Errorf("%+v %+v", c, c.Refusal)
			}
		})
	}
}

// Only a refusal that is for want of TLS is told as one.
func TestRefusalForWantOfTLSIsToldFromOneThatNamesIt(t *testing.T) {
	for words, want := range map[string]bool{
		"5.7.0 Must issue a STARTTLS command first":                           true,
		"Must issue a STARTTLS command first.":                                true,
		"SSL/TLS required on the control channel":                             true,
		"Policy requires SSL.":                                                true,
		"Non-anonymous sessions must use encryption.":                         true,
		"Anonymous sessions must use encryption.":                             true,
		"Sorry, cleartext sessions are not accepted on this server.":          true,
		"This server does not allow plain FTP. You have to use FTP over TLS.": true,
		"Use AUTH first.":                true,
		"Not logged in; TLS is required": true,
		"5.7.10 Encryption needed":       true,
		"5.7.11 Encryption required for requested authentication mechanism":       true,
		"BindSimple: Transport encryption required.":                              true,
		"Only TLS connections, please use TLS":                                    true,
		"TLS connections only":                                                    true,
		"Connections without TLS are refused":                                     true,
		"You are not allowed; TLS not required here":                              false,
		"denied, TLS is not required":                                             false,
		"TLS isn't required":                                                      false,
		"access denied (TLS is only for submission)":                              false,
		"4.7.1 greylisted, you must retry; see https://tls.example.edu/":          false,
		"4.7.1 you must ask postmaster at tls.example.edu":                        false,
		"4.7.0 TLS currently unavailable, try only later":                         false,
		"4.7.0 TLS not available due to local problem":                            false,
		"Login incorrect. TLS not required.":                                      false,
		"5.7.1 blocked using zen.spamhaus.org":                                    false,
		"Access denied: only hosts of example.edu":                                false,
		"4.7.0 Too many TLS sessions from here":                                   false,
		"5.7.1 TLS was fine, and your address must first be registered with us":   false,
		"5.7.1 Not permitted: your name is required, TLS or not":                  false,
		"The administrator does not require TLS and must be asked for permission": false,
	} {
		if wantsTLS(words) != want {
			t.Errorf("%q: %v", words, !want)
		}
	}
}

// What inspection makes of a greeting and an extension (Cisco's fixup): stars with
// the digits of 220 left, and X's.
func TestMaskedMailIsKnown(t *testing.T) {
	for line, want := range map[string]bool{
		"*****": true, "***0*2****200**": true, "*****************": true, "**** ****": true, "****.*****.***: 20 *": true,
		"*** Welcome to mail.example.edu ***": false, "mail.example.edu ESMTP": false, "*": false, "": false, "2 0 2": false,
	} {
		if maskedGreeting(line) != want {
			t.Errorf("greeting %q: %v", line, !want)
		}
	}
	for offer, want := range map[string]bool{"XXXXXXXA": true, "XXXA": true, "XXXXXXXXA LOGIN": true, "XCLIENT NAME": false, "XFORWARD": false, "X-EXPS": false, "XX": false} {
		if maskedOffer.MatchString(offer) != want {
			t.Errorf("extension %q: %v", offer, !want)
		}
	}
	far := func(c net.Conn) {
		r := bufio.NewReader(c)
		for _, s := range []string{"220-mail\r\n220 ****\r\n", "250 mail\r\n", "221 bye\r\n"} {
			_, _ = io.WriteString(c, s)
			_, _ = r.ReadString('\n')
		}
	}
	if c := askReal(t, everyTime(t, far), "smtp", "mx.example.edu"); c.Outcome != result.ConversationCompleted || !webHas(c.Changed, "the greeting is masked") {
		t.Errorf("in a later line: %+v", c)
	}
}

// A greeting may come line by line, each in its time: what follows it may not.
func TestGreetingOfSeveralLinesIsWaitedFor(t *testing.T) {
	t.Parallel()
	const rest = 300 * time.Millisecond
	for _, speaks := range []plan.Protocol{"smtp", "ftp"} {
		t.Run(string(speaks), func(t *testing.T) {
			t.Parallel()
			far := everyTime(t, func(c net.Conn) {
				for _, l := range []string{"220-one\r\n", "220-two\r\n", "220 three\r\n"} {
					_, _ = io.WriteString(c, l)
					time.Sleep(rest)
				}
				_, _ = io.WriteString(c, "421 enough\r\n")
				_, _ = io.Copy(io.Discard, c)
			})
			c := askRealWithin(t, far, speaks, Question{Host: "mx.example.edu", AfterGreeting: rest + guardTime/2}, guardTime)
			if !c.Came(result.StageGreeted) || c.Refusal == nil || c.Refusal.Reason != result.ReasonUnavailable {
				t.Errorf("%+v", c)
			}
			c = askRealWithin(t, everyTime(t, func(c net.Conn) {
				for _, l := range []string{"220-one\r\n", "220-two\r\n", "220 three\r\n"} {
					_, _ = io.WriteString(c, l)
					time.Sleep(2 * rest)
				}
			}), speaks, Question{Host: "mx.example.edu", AfterGreeting: rest}, guardTime)
			if !c.Came(result.StageGreeted) {
				t.Errorf("with little time for the rest: %+v", c)
			}
		})
	}
}

// A server that closes may say so in the middle of an answer, and a code may stand
// alone.
func TestReplyThatTurnsIntoAnother(t *testing.T) {
	for name, tc := range map[string]struct {
		speaks  plan.Protocol
		replies []string
		want    result.Reason
	}{
		"421 in the answer to EHLO":  {"smtp", []string{"220 mail\r\n", "250-mail\r\n250-SIZE 1\r\n421 4.3.2 shutting down\r\n"}, result.ReasonUnavailable},
		"421 in a greeting":          {"smtp", []string{"220-mail\r\n421 not now\r\n"}, result.ReasonUnavailable},
		"codes alone":                {"smtp", []string{"220\r\n", "250\r\n", "221\r\n"}, ""},
		"a line without a code":      {"smtp", []string{"220-mail\r\nwelcome\r\n220 there\r\n", "250 m\n", "221 b\n"}, ""},
		"421 in a greeting of FTP's": {"ftp", []string{"220-files\r\n421 closing\r\n"}, result.ReasonUnavailable},
		"120, and then nothing":      {"ftp", []string{"120 ready in 10 minutes\r\n"}, result.ReasonUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := askReal(t, everyTime(t, func(c net.Conn) {
				r := bufio.NewReader(c)
				for i, s := range tc.replies {
					_, _ = io.WriteString(c, s)
					if i == len(tc.replies)-1 {
						return
					}
					if _, err := r.ReadString('\n'); err != nil {
						return
					}
				}
			}), tc.speaks, "mx.example.edu")
			got := result.Reason("")
			if c.Refusal != nil {
				got = c.Refusal.Reason
			}
			if got != tc.want || tc.want == "" && c.Outcome != result.ConversationCompleted {
				t.Errorf("%+v %+v", c, c.Refusal)
			}
		})
	}
}

// Where an answer began, it is not said that nothing came, whatever the language;
// and what spoke the row's language before is not called somebody else's.
func TestBeginningOfAnAnswerIsTold(t *testing.T) {
	says := func(words string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, words)
		}
	}
	for speaks, half := range map[plan.Protocol]string{
		"tds": "\x04\x01\x00\x2b\x00\x00\x01\x00\x00\x00", "rdp": "\x03\x00\x00\x13\x0e\xd0", "ldap": "\x30\x0c\x02\x01\x01\x61",
		"z3950": "\xb5\x13\x83\x02\x05", "iso-ill": "\x73\x18\x80\x01\x02",
	} {
		c := askReal(t, everyTime(t, says(half)), speaks, "ils.example.edu")
		if !isCutEnd(c.Outcome) || len(c.Stages) != 1 || c.Stages[0] != result.StageBegun {
			t.Errorf("%s: %+v", speaks, c)
		}
		c = askReal(t, everyTime(t, says("")), speaks, "ils.example.edu")
		if !isCutEnd(c.Outcome) || len(c.Stages) != 0 {
			t.Errorf("%s, nothing at all: %+v", speaks, c)
		}
	}
	confirm := "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x01\x00\x00\x00"
	far := everyTime(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, confirm)
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "garbage garbage")
	})
	if c := askReal(t, far, "rdp", "ils.example.edu"); c.Outcome != result.ConversationUnread || !c.Came(result.StageGreeted) {
		t.Errorf("garbage after a Connection Confirm: %+v", c)
	}
}

func isCutEnd(o result.ConversationOutcome) bool {
	return o == result.ConversationClosed || o == result.ConversationReset
}
