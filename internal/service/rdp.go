package service

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"dialtone/internal/result"
)

// RDP (MS-RDPBCGR) on TPKT and X.224 (RFC 1006): Terminal Services.
//
// The asking side sends an X.224 Connection Request that offers TLS and CredSSP
// (sections 2.2.1.1, 5.4.2), reads the Connection Confirm and makes the TLS
// handshake that both of them begin with. A server that is not ours is asked no
// more.
//
// A Connection Request has no room for a token that standard servers and
// balancers would leave alone: the cookie is a short user name, the correlation
// info 16 bytes of which some values are forbidden, and a Connection Confirm has
// no room for an answer at all. So what follows inside TLS is our own: a T.125
// Connect-Initial whose user data is the token and filling, answered by a
// Connect-Response whose user data is filled as well, after three seals: that the listener knows the key, over its
// certificate, and over the request and the confirm as they arrived and were
// sent. The conversation then proves that this listener answered, and shows
// each changed byte of the negotiation, and a device that ends TLS, even to an
// asking side that was not told the fingerprint.
//
// What stays unnoticed: a device that only reads along, and one that acts on
// what comes later inside TLS, which it cannot see. Of a server that is not
// ours, changes in the negotiation, such as TLS that is negotiated away, unless
// its certificate is known.

const (
	tpktHeader = 4 // bytes; RFC 1006 section 6
	maxTPKT    = 8 << 10

	rdpCookie = "Cookie: mstshash=" // section 2.2.1.1

	// types of negotiation messages (sections 2.2.1.1.1, 2.2.1.2.1, 2.2.1.2.2)
	rdpNegRequest  = 1
	rdpNegResponse = 2
	rdpNegFailure  = 3

	// protocols
	rdpTLS    = 1
	rdpHybrid = 2 // CredSSP inside TLS
	rdpAAD    = 16

	// failure codes
	rdpTLSRequired   = 1
	rdpTLSNotAllowed = 2
	rdpNoCertificate = 3
)

// rdpProtocols are the selected protocols (section 2.2.1.2.1) by their names.
var rdpProtocols = map[uint32]string{
	0: "RDP (no TLS)", rdpTLS: "TLS", rdpHybrid: "CredSSP (NLA)", 4: "RDSTLS", 8: "CredSSP with early authorization", rdpAAD: "RDS AAD",
}

// rdpFailures are the failure codes of section 2.2.1.2.2.
var rdpFailures = map[uint32]string{
	rdpTLSRequired:   "the server requires TLS",
	rdpTLSNotAllowed: "the server does not allow TLS",
	rdpNoCertificate: "the server has no certificate",
	4:                "inconsistent flags",
	5:                "the server requires CredSSP (NLA)",
	6:                "the server requires TLS with a certificate of the user",
}

// x224Data is the header of a Data TPDU (X.224 section 13.7).
var x224Data = []byte{2, 0xf0, 0x80}

func askRDP(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	var out result.Conversation
	request := x224Request(rdpTLS | rdpHybrid)
	if _, err := conn.Write(request); err != nil {
		return out, err
	}
	confirm, err := readTPKT(conn)
	if err != nil {
		return out, err
	}
	if how := x224End(confirm); how != "" {
		out.Reach(result.StageGreeted)
		if q.isOurs() {
			out.Changed = append(out.Changed, "the answer is not the listener's, which selects TLS: it is "+how)
		}
		return out, refused(result.ReasonTurnedAway, "", how)
	}
	kind, flags, value, err := parseX224Confirm(confirm)
	if err != nil {
		return out, err
	}
	out.Software = "an RDP server"
	out.Reach(result.StageGreeted)
	if q.isOurs() && (kind != rdpNegResponse || value != rdpTLS) {
		out.Changed = append(out.Changed, "the Connection Confirm is not the listener's, which selects TLS")
	}
	switch kind {
	case rdpNegFailure:
		words := rdpFailures[value]
		if words == "" {
			words = fmt.Sprintf("failure code %d", value)
		}
		out.Facts = append(out.Facts, result.Fact{Name: "negotiation", Value: words})
		if (value == rdpTLSNotAllowed || value == rdpNoCertificate) && takesPlainRDP(q) {
			out.Facts = append(out.Facts, result.Fact{Name: "security", Value: rdpProtocols[0]})
			return out, nil
		}
		return out, refused(result.ReasonSecurity, fmt.Sprintf("negotiation failure %d", value), words)
	case 0:
		out.Facts = append(out.Facts, result.Fact{Name: "security", Value: rdpProtocols[0] + ", without negotiation"})
		return out, nil
	}
	name := rdpProtocols[value]
	if name == "" {
		name = fmt.Sprintf("unknown (%d)", value)
	}
	out.Facts = append(out.Facts, result.Fact{Name: "security", Value: name},
		result.Fact{Name: "negotiation flags", Value: fmt.Sprintf("%#02x", flags)})
	switch {
	case value == 0:
		return out, nil
	case value&(rdpTLS|rdpHybrid) == 0: // section 2.2.1.2.1: one of those that were offered
		return out, unreadError{fmt.Sprintf("it selects the security protocol %s, which was not offered", name)}
	}
	tc, facts, changed, err := dialTLS(conn, q)
	if err != nil {
		return out, fmt.Errorf("after the Connection Confirm: %w", err)
	}
	out.Reach(result.StageTLS)
	certificate := tc.ConnectionState().PeerCertificates[0].Raw
	out.Facts = append(out.Facts, facts...)
	out.Changed = append(out.Changed, changed...)
	if !q.isOurs() || value != rdpTLS {
		return out, nil
	}
	proofs, err := rdpProofs(tc, q)
	if err != nil && q.Fingerprint != nil && len(changed) == 0 {
		return out, fmt.Errorf("inside TLS: %w", err) // it is our listener that does not answer
	}
	if err != nil {
		out.Changed = append(out.Changed, "the answer inside TLS does not contain the listener's reply: "+shown(err.Error()))
		return out, nil
	}
	out.Keyed = true
	if !hmac.Equal(proofs[AnswerSize:2*AnswerSize], sealOf(q.Answer, "rdp certificate", certificate)) && len(changed) == 0 {
		out.Changed = append(out.Changed, "the listener's certificate is another than the one that arrived: TLS was ended on the way")
	}
	if !hmac.Equal(proofs[2*AnswerSize:], sealOf(q.Answer, "rdp negotiation", request, confirm)) {
		out.Changed = append(out.Changed, "the Connection Request or the Connection Confirm was changed on the way")
	}
	return out, nil
}

// takesPlainRDP tries on a fresh connection whether a server that has no TLS goes on
// without, as clients do then: it uses Standard RDP Security only (MS-RDPBCGR section
// 2.2.1.2.2).
func takesPlainRDP(q Question) (does bool) {
	if q.Again == nil {
		return false
	}
	q.Again(func(ctx context.Context, conn net.Conn) {
		defer within(ctx, conn)()
		if _, err := conn.Write(x224Request(0)); err != nil {
			return
		}
		confirm, err := readTPKT(conn)
		if err != nil {
			return
		}
		kind, _, value, err := parseX224Confirm(confirm)
		does = err == nil && (kind == 0 || kind == rdpNegResponse && value == 0)
	})
	return does
}

// x224End says in words how an RDP server ends a connection in place of a
// Connection Confirm, "" if it does not.
func x224End(b []byte) string {
	const disconnect, failed, data = 0x80, 0x70, 0xf0 // X.224 sections 13.5, 13.7, 13.12
	switch {
	case len(b) < tpktHeader+3 || int(b[tpktHeader])+1 > len(b)-tpktHeader:
	case b[tpktHeader+1] == disconnect:
		return "it disconnects (X.224 Disconnect Request)"
	case b[tpktHeader+1] == failed:
		return "it says that the request is wrong (X.224 Error)"
	case b[tpktHeader+1] == data && len(b) > tpktHeader+3 && b[tpktHeader+3]&0xfc == 0x20: // T.125 section 7, part 8
		return "it disconnects (T.125 Disconnect Provider Ultimatum)"
	}
	return ""
}

// rdpProofs sends the token inside TLS and returns the listener's seals, of
// which it has looked at the first.
func rdpProofs(tc net.Conn, q Question) ([]byte, error) {
	if _, err := tc.Write(appendTPKT(x224Data, mcsInitial(q.Token[:]))); err != nil {
		return nil, err
	}
	response, err := readTPKT(tc)
	if err != nil {
		return nil, err
	}
	proofs, ok := parseMCSResponse(response)
	if !ok || !hmac.Equal(proofs[:AnswerSize], sealOf(q.Answer, "rdp answer")) {
		return nil, foreignError{"it is another RDP server's"}
	}
	return proofs, nil
}

func answerRDP(ctx context.Context, conn net.Conn, a *Answerer) error {
	a.step(ctx, conn)
	request, err := readTPKT(conn)
	if err != nil {
		return err
	}
	protocols, negotiates, err := parseX224Request(request)
	if err != nil {
		return err
	}
	a.came("negotiation")
	confirm := x224Confirm(rdpNegResponse, rdpTLS)
	switch {
	case !negotiates:
		confirm = x224Confirm(0, 0)
	case protocols&rdpTLS == 0:
		confirm = x224Confirm(rdpNegFailure, rdpTLSRequired)
	}
	if _, err := conn.Write(confirm); err != nil {
		return err
	}
	switch {
	case !negotiates: // RDP's own encryption, of which there is none here
		a.ended("without TLS: refused as meant")
		a.step(ctx, conn)
		_, err := readTPKT(conn)
		return err
	case protocols&rdpTLS == 0:
		a.ended("without TLS: refused as meant")
		return nil // section 3.3.5.3.1: the client closes, and tries again
	}
	tc, err := acceptTLS(ctx, conn, a)
	if err != nil {
		return err
	}
	defer tc.CloseWrite()
	a.step(ctx, conn)
	initial, err := readTPKT(tc)
	if err != nil {
		return err
	}
	a.came("the beginning of a session")
	a.ended(asMeant)
	token, ok := parseMCSInitial(initial)
	if !ok {
		return nil // as a server that wants no more connections
	}
	answer, ok := a.Answer(token)
	if !ok {
		return nil
	}
	proofs := append(sealOf(answer, "rdp answer"), sealOf(answer, "rdp certificate", a.Certificate.Certificate[0])...)
	proofs = append(proofs, sealOf(answer, "rdp negotiation", request, confirm)...)
	a.step(ctx, conn)
	_, err = tc.Write(appendTPKT(x224Data, mcsResponse(proofs)))
	return err
}

// appendTPKT frames a TPDU, given in two parts (RFC 1006 section 6).
func appendTPKT(header, payload []byte) []byte {
	b := []byte{3, 0, 0, 0}
	b = append(append(b, header...), payload...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// readTPKT reads one packet, with its header.
func readTPKT(r io.Reader) ([]byte, error) {
	b := make([]byte, tpktHeader)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[0] != 3 || b[1] != 0 || n < 7:
		what := fmt.Sprintf("it begins with %q", b)
		if s := Software(b); s != "" {
			what = "it is from " + shown(s)
		}
		return nil, foreignError{"the answer is not RDP: " + what}
	case n > maxTPKT:
		return nil, unreadError{fmt.Sprintf("an RDP packet has %d bytes", n)}
	}
	b = append(b, make([]byte, n-tpktHeader)...)
	if _, err := io.ReadFull(r, b[tpktHeader:]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// x224Request makes a Connection Request (section 2.2.1.1).
func x224Request(protocols uint32) []byte {
	variable := []byte(rdpCookie + "dialtone\r\n")
	variable = append(variable, rdpNegRequest, 0, 8, 0)
	variable = binary.LittleEndian.AppendUint32(variable, protocols)
	return appendTPKT([]byte{byte(6 + len(variable)), 0xe0, 0, 0, 0, 0, 0}, variable)
}

// parseX224Request reads a Connection Request; negotiates says that it offers
// protocols. The cookie or routing token before is skipped: it is text up to CR
// LF. What may follow, the correlation info, is ignored.
func parseX224Request(b []byte) (protocols uint32, negotiates bool, err error) {
	v, err := x224Variable(b, 0xe0)
	if err != nil {
		return 0, false, err
	}
	// A negotiation request begins with a byte that no text does.
	if len(v) > 0 && v[0] != rdpNegRequest {
		_, rest, found := bytes.Cut(v, []byte("\r\n"))
		if !found {
			return 0, false, foreignError{"the Connection Request's cookie has no end"}
		}
		v = rest
	}
	switch {
	case len(v) == 0:
		return 0, false, nil
	case len(v) < 8 || v[0] != rdpNegRequest || binary.LittleEndian.Uint16(v[2:]) != 8:
		return 0, false, foreignError{"the Connection Request's negotiation is malformed"}
	}
	return binary.LittleEndian.Uint32(v[4:]), true, nil
}

// x224Confirm makes a Connection Confirm (section 2.2.1.2); kind 0 is one
// without negotiation.
func x224Confirm(kind byte, value uint32) []byte {
	var variable []byte
	if kind != 0 {
		variable = binary.LittleEndian.AppendUint32([]byte{kind, 0, 8, 0}, value)
	}
	return appendTPKT([]byte{byte(6 + len(variable)), 0xd0, 0, 0, 0x12, 0x34, 0}, variable)
}

// parseX224Confirm reads a Connection Confirm; kind is 0 if it does not
// negotiate.
func parseX224Confirm(b []byte) (kind, flags byte, value uint32, err error) {
	v, err := x224Variable(b, 0xd0)
	if err != nil || len(v) == 0 {
		return 0, 0, 0, err
	}
	if len(v) < 8 || v[0] != rdpNegResponse && v[0] != rdpNegFailure || binary.LittleEndian.Uint16(v[2:]) != 8 {
		return 0, 0, 0, unreadError{"the Connection Confirm's negotiation is malformed"}
	}
	return v[0], v[1], binary.LittleEndian.Uint32(v[4:]), nil
}

// x224Variable returns what follows the fixed part of a connection TPDU (X.224
// sections 13.3, 13.4) in a TPKT packet.
func x224Variable(b []byte, code byte) ([]byte, error) {
	if len(b) < tpktHeader+7 || int(b[tpktHeader])+1 != len(b)-tpktHeader || b[tpktHeader+1]&0xf0 != code {
		return nil, foreignError{"the packet is not an X.224 connection's"}
	}
	return b[tpktHeader+7:], nil
}

// mcsInitial makes a Connect-Initial (T.125 section 7, part 2) with the domain
// parameters of MS-RDPBCGR section 4.1.3 and our own user data.
func mcsInitial(data []byte) []byte {
	b := []byte{4, 1, 1, 4, 1, 1, 1, 1, 0xff} // selectors, upward
	b = append(b, mcsDomain(0x22, 2, 0, 1, 0, 1, 0xffff, 2)...)
	b = append(b, mcsDomain(1, 1, 1, 1, 0, 1, 0x420, 2)...)
	b = append(b, mcsDomain(0xffff, 0xfc17, 0xffff, 1, 0, 1, 0xffff, 2)...)
	return mcsElement([]byte{0x7f, 0x65}, append(b, mcsUserData(data)...)) // [APPLICATION 101]
}

// mcsResponse makes a Connect-Response that refuses: rt-unspecified-failure.
func mcsResponse(data []byte) []byte {
	b := []byte{0x0a, 1, 14, 2, 1, 0} // result, connect id
	b = append(b, mcsDomain(0x22, 3, 0, 1, 0, 1, 0xfff8, 2)...)
	return mcsElement([]byte{0x7f, 0x66}, append(b, mcsUserData(data)...)) // [APPLICATION 102]
}

// mcsUserData is an octet string of our own data, and filling.
func mcsUserData(data []byte) []byte {
	return mcsElement([]byte{4}, append(bytes.Clone(data), filling...))
}

// mcsElement encodes what has 256 to 65,535 bytes (X.690 section 8.1).
func mcsElement(tag, b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(append(bytes.Clone(tag), 0x82), uint16(len(b))), b...)
}

// mcsDomain encodes domain parameters, as MS-RDPBCGR's examples do.
func mcsDomain(values ...uint16) []byte {
	b := []byte{0x30, 0}
	for _, v := range values {
		if v < 0x80 {
			b = append(b, 2, 1, byte(v))
		} else {
			b = append(b, 2, 2, byte(v>>8), byte(v))
		}
	}
	b[1] = byte(len(b) - 2)
	return b
}

// parseMCSInitial finds our token in a Connect-Initial. As all of it but the
// token and the filling is what we write ourselves, a comparison reads it.
func parseMCSInitial(packet []byte) ([]byte, bool) {
	return ownUserData(packet, mcsInitial, TokenSize)
}

// parseMCSResponse finds the seals in our Connect-Response.
func parseMCSResponse(packet []byte) ([]byte, bool) {
	return ownUserData(packet, mcsResponse, 3*AnswerSize)
}

func ownUserData(packet []byte, encode func([]byte) []byte, size int) ([]byte, bool) {
	want := appendTPKT(x224Data, encode(make([]byte, size)))
	end := len(want) - len(filling)
	if len(packet) != len(want) || !bytes.Equal(packet[:end-size], want[:end-size]) {
		return nil, false
	}
	return packet[end-size : end], true
}
