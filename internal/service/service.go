// Package service has the services' own conversations, the asking and the
// answering side of each in one file.
//
// The asking side shows that a path passes what the service really says, since
// a firewall that looks into the payload may pass that and nothing else, or all
// but that. The answering side stands in for the service before it is
// installed. Both sides treat every byte of the other as hostile: they read at
// most what a message allows and never act on what it says.
//
// A token (TokenSize bytes that only a holder of the key can make) travels
// inside the conversation wherever the protocol has room for it; the answering
// side's keyed answer to it (AnswerSize bytes) is proof as good as a keyed
// Binding: fresh, and by the listener itself. This package knows nothing of
// keys: Question and Answerer bring both.
package service

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Sizes of what proves a conversation fresh and keyed, in bytes.
const (
	TokenSize  = 32
	AnswerSize = 16
)

// A Question is what the asking side brings.
type Question struct {
	// Host is the name or address that was dialed, for protocols that carry it.
	Host string
	// Token is random where the far end is not ours, and then Answer is nil.
	Token  [TokenSize]byte
	Answer []byte // what our own listener makes of Token
	// Fingerprint is the SHA-256 of the certificate that our own listener has
	// (DER); nil: not known.
	Fingerprint []byte
	// Public says that the certificate ought to be good for Host under the
	// system's roots, as a real host's.
	Public bool
	// Path is what an HTTP server that is not ours is asked for; "" is "/".
	Path string
	// Status are the status codes with which such a server is well; none: all that
	// do not say themselves that it is not.
	Status []int
	// AfterGreeting is how long the conversation may take once the greeting is over,
	// where the server speaks first and may take its time; 0: as long as ctx lasts.
	AfterGreeting time.Duration
	// DataAddr is the local address on which the asking side of FTP's active
	// mode accepts the data connection; invalid: active mode is left out.
	DataAddr netip.Addr
	// Stay: the far end is to keep the connection open after it answered, where the
	// protocol can say so: it is looked at while it is.
	Stay bool
	// DocumentSize is how many bytes the Odyssey test's document has, 16 MiB at
	// most; 0 means 8 MiB.
	DocumentSize int
	// Again opens a fresh connection to the same port for a second look, and closes
	// it; false: it did not open. nil: there is no second look.
	Again func(look func(ctx context.Context, conn net.Conn)) bool

	hello hello // which ClientHello is sent
}

// isOurs reports whether the far end is meant to be our own listener, and no server of
// others: that one gets the token and all that a receipt brings back, and gives proof.
func (q Question) isOurs() bool { return q.Answer != nil }

// An Answerer is what the answering sides share. All its functions may be
// called from several goroutines at once.
type Answerer struct {
	Software    string          // our name, without a version: strangers read it
	Certificate tls.Certificate // fresh for this process
	// Answer makes the keyed answer to a token and remembers that it came; false:
	// it was not made with the key.
	Answer func(token []byte) ([]byte, bool)
	// DialData opens FTP's active data connection from source port 20, as far as
	// the system lets it; nil: active mode is refused.
	DialData func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// ListenData opens a port for FTP's passive data connections on a local
	// address; nil: passive mode is refused.
	ListenData func(ctx context.Context, on netip.Addr) (net.Listener, error)
	// Lines are what a person who reaches the listener by browser is told beside
	// what was reached, by whom and from where: how to go on. What is to be typed
	// is indented.
	Lines []string
	// Future is what is to be at this address, such as "ILLiad server", for a person who
	// comes by browser; "": not said.
	Future string
	// Web answers the requests that it knows, on whatever port they come; false: it
	// does not know that one. nil: it knows none.
	Web func(w http.ResponseWriter, r *http.Request, c WebConn) bool
	// Arrived is handed on to Web.
	Arrived func(token [16]byte)
	// Downloads are files that a person who comes by browser may fetch; nil: none.
	Downloads *Downloads
	// Instances are what SQL Browser tells of; none: it answers nothing.
	Instances []Instance
	// Patience is how long it waits for each message; 0 means 15 s.
	Patience time.Duration

	visit *visit // of the connection that is served
}

// A WebConn is the connection that a request came by.
type WebConn struct {
	Remote, Local netip.AddrPort
	// Certificate is the SHA-256 of the one that was sent over it (DER, hexadecimal
	// digits); "": it is without TLS.
	Certificate string
	// Arrived has the connection remembered by a token that came over it.
	Arrived func(token [16]byte)
	// Patient gives the whole connection so long from now on.
	Patient func(time.Duration)
	// Refuse answers as a stranger is answered, with that status and why.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, why string)
}

// A conversation is how one protocol is spoken, on both sides. Those of single
// datagrams have a packet in place of ask and answer.
type conversation struct {
	// ask has the conversation on an open connection. What it returns needs
	// no Speaks and no ElapMS. An error is classified by outcome.
	ask func(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error)
	// answer serves one connection until the conversation ends. It closes
	// nothing. conn's deadline is its own to set; ctx ends it early.
	answer func(ctx context.Context, conn net.Conn, a *Answerer) error
	packet *packetConversation

	name string   // where a port speaks it that ought to speak another; "": its Title
	alpn []string // what it is called inside TLS (RFC 7301), where it says so
	// begins is what its clients begin with, where they speak first.
	begins []word
	// tells: answer finds words itself for what its clients do not begin with, but for HTTP's and TLS.
	tells bool
	// thinking is how many times the patience for a message its client has for the
	// first, where that is more than one.
	thinking time.Duration
}

// conversations has one for each of plan.Languages.
var conversations = map[plan.Protocol]conversation{
	plan.HTTP:       {ask: askHTTP, answer: answerHTTP, alpn: []string{"http/1.1"}, begins: []word{spokeHTTP}},
	plan.HTTPS:      {ask: askHTTPS, answer: answerHTTPS, begins: []word{spokeTLS}},
	plan.SMTP:       {ask: askSMTP, answer: answerSMTP},
	plan.SMTPS:      {ask: askSMTPS, answer: answerSMTPS, name: "SMTPS", begins: []word{spokeTLS}},
	plan.FTP:        {ask: askFTP, answer: answerFTP},
	plan.Odyssey:    {ask: askOdyssey, answer: answerOdyssey, name: "ODYSSEY", tells: true, thinking: odysseyThinking},
	plan.TDS:        {ask: askTDS, answer: answerTDS, name: "TDS 7", alpn: []string{"tds/8.0"}, begins: []word{spokeTDS, spokeTLS}},
	plan.SQLBrowser: {packet: &packetConversation{request: askBrowser, read: readBrowser, answer: answerBrowser}},
	plan.RDP:        {ask: askRDP, answer: answerRDP, name: "RDP", begins: []word{spokeRDP}},
	plan.LDAP:       {ask: askLDAP, answer: answerLDAP, begins: []word{spokeLDAP}},
	plan.LDAPS:      {ask: askLDAPS, answer: answerLDAPS, begins: []word{spokeTLS}},
	plan.Z3950:      {ask: askZ3950, answer: answerZ3950, begins: []word{spokeZ3950}},
	plan.ISOILL:     {ask: askISOILL, answer: answerISOILL, begins: []word{spokeILL}},
}

// Web is what browsers speak.
const Web = plan.HTTP

// filling is what makes a message to our own listener, or its answer, as large as two
// packets of full size: where a device does not let the proof pass, the conversation is
// all that shows whether such packets do. No server of others gets it.
var filling = strings.Repeat("0123456789abcdef", 192)

// Knows reports whether there is a conversation over a transport in a protocol.
func Knows(speaks plan.Protocol, over plan.Transport) bool {
	_, known := conversations[speaks]
	return known && speaks.Language().Transport == over
}

// nameOf is what a port speaks under a protocol's name.
func nameOf(p plan.Protocol) string { return cmp.Or(conversations[p].name, p.Language().Title) }

// unknown is what comes of a conversation that there is none of.
func unknown(speaks plan.Protocol) error {
	return fmt.Errorf("no conversation is known for %q", speaks)
}

// Ask is the asking side of a conversation on an open connection. It ends when
// ctx does, or with the second looks that q allows, and closes nothing but, for the
// last of those, the connection.
func Ask(ctx context.Context, conn net.Conn, speaks plan.Protocol, q Question) result.Conversation {
	start := time.Now()
	defer within(ctx, conn)()
	greeted := &greetedConn{Conn: conn, ctx: ctx, start: start}
	greets := speaks.Language().Greets
	if greets {
		greeted.rest = q.AfterGreeting
	}
	if !Knows(speaks, plan.TCP) {
		return result.Conversation{Speaks: speaks, Outcome: result.ConversationNotHeld, Error: unknown(speaks).Error()}
	}
	out, err := conversations[speaks].askTwice(ctx, greeted, speaks, q)
	if greets {
		out.GreetingMS = result.Milliseconds(greeted.after())
	}
	return settle(out, err, speaks, start)
}

// Serve is the answering side of a conversation and closes nothing. It ends
// when ctx does. The error says why the conversation was not completed.
func (a *Answerer) Serve(ctx context.Context, conn net.Conn, speaks plan.Protocol) error {
	_, err := a.Receive(ctx, conn, speaks)
	return err
}

// Receive does what Serve does, and tells in words what came.
func (a *Answerer) Receive(ctx context.Context, conn net.Conn, speaks plan.Protocol) (Visit, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if !Knows(speaks, plan.TCP) {
		return Visit{}, unknown(speaks)
	}
	mine := *a
	mine.visit = new(visit)
	err := mine.receive(ctx, conn, speaks)
	if mine.visit.last {
		linger(ctx, conn, &mine)
	}
	return Visit{Service: speaks.Language().Title, Words: mine.visit.words(err)}, err
}

func (a *Answerer) receive(ctx context.Context, conn net.Conn, p plan.Protocol) error {
	c := conversations[p]
	if p.Language().Greets {
		return c.answer(ctx, conn, a)
	}
	heard, spoke, err := a.hear(ctx, conn, max(1, c.thinking)*a.patience())
	if err != nil {
		return err
	}
	if done, err := a.strange(ctx, heard, p, spoke); done {
		return err
	}
	if !slices.Contains(c.begins, spoke) && !c.tells {
		a.came(spoke)
	}
	return c.answer(ctx, heard, a)
}

// patience is how long a single message may take.
func (a *Answerer) patience() time.Duration {
	if a.Patience > 0 {
		return a.Patience
	}
	return 15 * time.Second
}

// step gives the answering side's next message its time, unless ctx is over.
func (a *Answerer) step(ctx context.Context, conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(a.patience()))
	if ctx.Err() != nil {
		_ = conn.SetDeadline(time.Unix(1, 0))
	}
}
