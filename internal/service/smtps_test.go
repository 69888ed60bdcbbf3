package service

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/result"
)

func TestSMTPSReachesOurListenerUnchanged(t *testing.T) {
	a, _ := newWebAnswerer(t)
	c := webAsk(t, serve(t, a, "smtps"), "smtps", newWebQuestion(t, "mx.example.edu"))
	wantIntact(t, c)
	if c.Fact(result.FactTLSVersion) != "TLS 1.3" || c.Fact("STARTTLS") != "" {
		t.Errorf("%+v", c)
	}
	if want := []result.Stage{result.StageTLS, result.StageGreeted, result.StageAccepted}; !slices.Equal(c.Stages, want) {
		t.Errorf("it came to %q, want %q", c.Stages, want)
	}
}

// A device that ends TLS shows in the receipt, where no fingerprint is known.
func TestSMTPSNamesADeviceThatEndsTLS(t *testing.T) {
	a, _ := newWebAnswerer(t)
	other, _ := newWebAnswerer(t)
	at := serve(t, a, "smtps")
	device := everyTime(t, func(c net.Conn) {
		in := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{other.Certificate}})
		out, err := tls.Dial("tcp", at.String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer out.Close()
		go func() { _, _ = io.Copy(out, in) }()
		_, _ = io.Copy(in, out)
	})
	c := webAsk(t, device, "smtps", newWebQuestion(t, "mx.example.edu"))
	if !c.Keyed || !slices.Contains(c.Changed, mailOtherCertificate) {
		t.Errorf("%+v", c)
	}
}

func TestSMTPSAgainstAiosmtpd(t *testing.T) {
	t.Parallel()
	c := askReal(t, startAiosmtpdTLS(t), "smtps", "mx.example.edu")
	if c.Outcome != result.ConversationCompleted || !strings.Contains(c.Software, "Python SMTP") || c.Fact(result.FactTLSVersion) == "" || len(c.Changed) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestCurlTalksToOurMailServerInTLS(t *testing.T) {
	curl := need(t, "curl", "curl")
	a, _ := newWebAnswerer(t)
	out := webRun(t, curl, "-sSk", "smtps://"+serve(t, a, "smtps").String())
	if !strings.Contains(out, "It takes no mail") {
		t.Errorf("got %s", out)
	}
}

// The greeting inside TLS may take its time, the handshake before it may not; and
// a server that greets without TLS is told.
func TestSMTPSGreetingMayTakeItsTime(t *testing.T) {
	a, _ := newWebAnswerer(t)
	const step = time.Second
	ask := func(far func(net.Conn)) result.Conversation {
		return askRealWithin(t, everyTime(t, far), "smtps", Question{Host: "mx.example.edu", AfterGreeting: step}, guardTime)
	}
	c := ask(func(c net.Conn) {
		tc := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{a.Certificate}})
		if tc.Handshake() != nil {
			return
		}
		time.Sleep(2 * step)
		_ = answerMailOn(t, tc, a)
	})
	if c.Outcome != result.ConversationCompleted || c.GreetingMS < 1000*step.Seconds() {
		t.Errorf("late: %+v", c)
	}
	silent := everyTime(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	if c = webAsk(t, silent, "smtps", Question{Host: "mx.example.edu", AfterGreeting: step}); c.Outcome != result.ConversationSilent || c.ElapMS > 1000*guardTime.Seconds()/2 {
		t.Errorf("silent: %+v", c)
	}
	if c = ask(func(c net.Conn) { _ = answerMailOn(t, c, a) }); c.Refusal == nil || c.Refusal.Reason != result.ReasonNoTLS {
		t.Errorf("plain: %+v", c)
	}
}

func answerMailOn(t *testing.T, c net.Conn, a *Answerer) error {
	return serveMail(t.Context(), c, a, false)
}
