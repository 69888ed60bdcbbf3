package lab

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A client is somebody else's program, run on the client's machine against
// listen on the server, and what it must print.
type client struct {
	name    string
	pkg     string // Debian's, that has the program
	command string // for a shell; $A is the server
	exit    int    // -1: any
	prints  []string
	lacks   []string
	fresh   bool // a listen of its own begins here: of one address it writes down so many strangers in a minute only
}

// clientSecret is what clients are given for a password and the like. The listener
// must not write it down, in whatever form the client sends it.
const clientSecret = "Xq7-hunter2-Zw9"

// clients are the real clients of each service. After "the key" the client's
// address has proved the key over TCP. $S is clientSecret.
var clients = []client{
	{name: "http: curl", pkg: "curl", command: `curl -sS --noproxy '*' http://$A/`,
		prints: []string{"You reached the future ILLiad server, port 80, from 10.1.0.10", "Dialtone's test listener", "Reached:  10.2.0.10:80", "You are:  10.1.0.10:", "dial --key WORDS 10.2.0.10"}, lacks: []string{"lab-rat"}},
	{name: "http: chromium", pkg: "chromium", command: `HOME=$PWD chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage --no-proxy-server --dump-dom http://$A/`,
		prints: []string{"<h1>You reached the future ILLiad server, port 80, from 10.1.0.10</h1>", "<code>10.2.0.10</code> on port <code>80</code>", "dial --key WORDS 10.2.0.10"}, lacks: []string{"lab-rat"}},
	{name: "http on 4500, PatronAPI: curl", pkg: "curl", command: `curl -sS --noproxy '*' http://$A:4500/PATRONAPI/21234567890123/dump`,
		prints: []string{"PATRN NAME[pn]=Dialtone, Test<BR>", "P BARCODE[pb]=00000000000000<BR>"}, lacks: []string{"21234567890123"}},
	{name: "http, a search and a password: curl", pkg: "curl", command: `curl -sS --noproxy '*' -u u:$S -b s=$S "http://$A/find?q=$S"`, prints: []string{"404 Not Found: there is nothing here of that name"}},
	{name: "http, a form: curl", pkg: "curl", command: `curl -sS --noproxy '*' -d password=$S http://$A/`, prints: []string{"405 Method Not Allowed: only GET and HEAD are answered"}},
	{name: "http, an upload, Expect: curl", pkg: "curl", command: `head -c 3000000 /dev/zero | curl -sS --noproxy '*' -H 'Expect: 100-continue' --data-binary @- http://$A/`, prints: []string{"405 Method Not Allowed"}},
	{name: "http, HEAD: curl", pkg: "curl", command: `curl -sSI --noproxy '*' http://$A/`, prints: []string{"HTTP/1.1 200 OK"}},
	{name: "http, OPTIONS: curl", pkg: "curl", command: `curl -sSi --noproxy '*' -X OPTIONS http://$A/`, prints: []string{"HTTP/1.1 405", "Allow: GET, HEAD"}},
	{name: "http/2 with prior knowledge: curl", pkg: "curl", command: `curl -sSv --noproxy '*' --http2-prior-knowledge http://$A/`, exit: 16, prints: []string{"HTTP2"}},
	{name: "http: wget", pkg: "wget", command: `wget --no-proxy -t1 -nv -O- http://$A/`, prints: []string{"You reached the future ILLiad server"}},
	{name: "http: lynx", pkg: "lynx", command: `HOME=$PWD lynx -dump http://$A/`, prints: []string{"You reached the future ILLiad server"}},
	{name: "http on 443: curl", pkg: "curl", command: `curl -sSi --noproxy '*' http://$A:443/`, prints: []string{"HTTP/1.1 400 Bad Request", "Use https:// for it"}},
	{name: "http on 443: wget", pkg: "wget", command: `wget --no-proxy -t1 -nv -O- http://$A:443/`, exit: 8, prints: []string{"ERROR 400: Bad Request"}},
	{name: "http on 636: curl", pkg: "curl", command: `curl -sSi --noproxy '*' http://$A:636/`, prints: []string{"HTTP/1.1 400 Bad Request", "This port is for LDAPS"}},
	{name: "http on 1433: chromium", pkg: "chromium", command: `HOME=$PWD chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync --no-proxy-server --dump-dom http://$A:1433/`,
		prints: []string{"400 Bad Request", "This port is for SQL Server, and your client spoke HTTP."}},
	{name: "http on 21: wget", pkg: "wget", command: `wget --no-proxy -t1 -nv -O- http://$A:21/`, exit: -1, prints: []string{"You reached the future ILLiad server, port 21"}},
	{name: "https on 80: curl", pkg: "curl", command: `curl -sSk --noproxy '*' https://$A:80/`, exit: 35, prints: []string{"wrong version number"}},
	{name: "https on 3389: curl", pkg: "curl", command: `curl -sSk --noproxy '*' https://$A:3389/`, exit: 35, prints: []string{"alert unexpected message"}},
	{name: "https on 7968: curl", pkg: "curl", command: `curl -sSk --noproxy '*' https://$A:7968/`, exit: 35, prints: []string{"alert unexpected message"}},
	{name: "https: wget", pkg: "wget", command: `wget --no-proxy -t1 -nv --no-check-certificate -O- https://$A/`, prints: []string{"You reached the future ILLiad server"}},
	{name: "https, TLS 1.1: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:443 -tls1_1 -cipher DEFAULT@SECLEVEL=0 </dev/null`, exit: 1, prints: []string{"alert protocol version"}},
	{name: "https: curl -k", pkg: "curl", command: `curl -sSk --noproxy '*' https://$A/`,
		prints: []string{"You reached the future ILLiad server, port 443, from 10.1.0.10", "Reached:  10.2.0.10:443", "TLS:      the certificate's SHA-256 is"}},
	{name: "https, TLS 1.2: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:443 -tls1_2 -brief </dev/null`,
		prints: []string{"Protocol version: TLSv1.2", "CN = Dialtone test listener"}},
	{name: "https, TLS 1.3: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:443 -tls1_3 -brief </dev/null`,
		prints: []string{"Protocol version: TLSv1.3", "CN = Dialtone test listener"}},
	{name: "ldaps: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:636 -brief </dev/null`,
		prints: []string{"Protocol version: TLSv1.3", "CN = Dialtone test listener"}},
	{name: "ftp, extended passive: curl", fresh: true, pkg: "curl", command: `curl -sS --noproxy '*' ftp://u:p@$A/proof.txt`, prints: []string{"Dialtone"}},
	{name: "ftp, passive: curl", pkg: "curl", command: `curl -sS --noproxy '*' --disable-epsv ftp://u:p@$A/proof.txt`, prints: []string{"Dialtone"}},
	{name: "ftp, active: curl", pkg: "curl", command: `curl -sSv --noproxy '*' -P - ftp://u:p@$A/proof.txt`, prints: []string{"Dialtone", "> EPRT |1|10.1.0.10|"}},
	{name: "ftp, passive: lftp", pkg: "lftp", command: `HOME=$PWD lftp -u u,p -e 'set ftp:ssl-allow no; set net:max-retries 1; ls; cat proof.txt; bye' ftp://$A`, prints: []string{"proof.txt", "Dialtone"}},
	{name: "ftp, active: lftp", pkg: "lftp", command: `HOME=$PWD lftp -u u,p -e 'set ftp:ssl-allow no; set net:max-retries 1; set ftp:passive-mode off; cat proof.txt; bye' ftp://$A`, prints: []string{"Dialtone"}},
	{name: "ftp, a password: lftp", pkg: "lftp", command: `HOME=$PWD lftp -u u,$S -e 'set ftp:ssl-allow yes; set net:max-retries 1; cat proof.txt; bye' ftp://$A`, prints: []string{"Dialtone"}},
	{name: "ftp, TLS wanted: lftp", pkg: "lftp", command: `HOME=$PWD lftp -u u,$S -e 'set ftp:ssl-force yes; set net:max-retries 1; ls; bye' ftp://$A`, exit: 1, prints: []string{"server does not support or allow SSL"}},
	{name: "ftp, TLS wanted: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:21 -starttls ftp </dev/null`, exit: 1, prints: []string{"alert unexpected message"}},
	{name: "ftps on 21: curl", pkg: "curl", command: `curl -sSk --noproxy '*' ftps://$A:21/`, exit: 35, prints: []string{"wrong version number"}},
	{name: "ftp, an upload: curl", pkg: "curl", command: `curl -sS --noproxy '*' -T /etc/hostname ftp://u:$S@$A/x`, exit: 25, prints: []string{"550"}},
	{name: "ftp: tnftp", pkg: "tnftp", command: `printf "user u $S\nls\nbye\n" | tnftp -n $A`, exit: -1, prints: []string{"proof.txt"}},
	{name: "ftp: ncftpls", pkg: "ncftp", command: `HOME=$PWD ncftpls -u u -p $S ftp://$A/`, prints: []string{"proof.txt"}},
	{name: "ftp: wget", pkg: "wget", command: `wget --no-proxy -t1 -nv -O- ftp://u:$S@$A/proof.txt`, prints: []string{"You have reached the Dialtone test listener by FTP"}},
	{name: "tds, a password: tsql", fresh: true, pkg: "freetds-bin", command: `tsql -H $A -p 1433 -U $S -P $S </dev/null`, exit: -1, prints: []string{"This is Dialtone's test listener, not SQL Server"}},
	{name: "tds 7.0, a password: tsql", pkg: "freetds-bin", command: `TDSVER=7.0 tsql -H $A -p 1433 -U $S -P $S </dev/null`, exit: -1, prints: []string{"This is Dialtone's test listener, not SQL Server"}},
	{name: "tds: bsqldb", pkg: "freetds-bin", command: `bsqldb -S $A:1433 -U u -P $S -q </dev/null`, exit: -1, prints: []string{"This is Dialtone's test listener, not SQL Server"}},
	{name: "tds: pymssql", pkg: "python3-pymssql", command: `/usr/bin/python3 -c 'import os, pymssql; pymssql.connect(server=os.environ["A"], user="u", password=os.environ["S"])'`, exit: 1, prints: []string{"This is Dialtone's test listener, not SQL Server"}},
	{name: "tds: FreeTDS' ODBC driver", pkg: "tdsodbc python3-pyodbc", command: `/usr/bin/python3 -c 'import os, pyodbc; pyodbc.connect("DRIVER=libtdsodbc.so;SERVER=%s;PORT=1433;UID=u;PWD=%s;TDS_Version=7.4;Encryption=require" % (os.environ["A"], os.environ["S"]))'`, exit: 1, prints: []string{"This is Dialtone's test listener, not SQL Server"}},
	{name: "tds 8: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:1433 -alpn tds/8.0 -brief </dev/null`, prints: []string{"CN = Dialtone test listener"}},
	{name: "tds: tsql", pkg: "freetds-bin", command: `tsql -H $A -p 1433 -U u -P x </dev/null`, exit: -1, prints: []string{"from Dialtone", "This is Dialtone's test listener, not SQL Server: the network path works."}},
	{name: "tds on 1344: tsql", pkg: "freetds-bin", command: `tsql -H $A -p 1344 -U u -P x </dev/null`, exit: -1, prints: []string{"This is Dialtone's test listener, not SQL Server"}},
	{name: "tds: nmap", pkg: "nmap", command: `nmap -n -Pn -sV -p 1433 $A`, prints: []string{"1433/tcp open  ms-sql-s Microsoft SQL Server"}},
	{name: "sql browser, before the key: tsql -L", pkg: "freetds-bin", command: `timeout 3 tsql -L -H $A`, exit: -1, lacks: []string{"DIALTONE", "InstanceName"}},
	{name: "the key", pkg: "none", command: `dial --verbose --only sql-client server4.lab`, prints: []string{"proof keyed"}},
	{name: "sql browser, after the key: tsql -L", pkg: "freetds-bin", command: `timeout 20 tsql -L -H $A`, exit: -1, prints: []string{"DIALTONE", "MSSQLSERVER", "1433"}},
	{name: "ldap: ldapsearch", fresh: true, pkg: "ldap-utils", command: `ldapsearch -x -H ldap://$A -s base -b "" '(objectClass=*)' '*' '+'`, prints: []string{"vendorName: Dialtone", "result: 0 Success"}},
	{name: "ldaps: ldapsearch", pkg: "ldap-utils", command: `LDAPTLS_REQCERT=never ldapsearch -x -H ldaps://$A -s base -b "" '(objectClass=*)' '*' '+'`, prints: []string{"vendorName: Dialtone", "result: 0 Success"}},
	{name: "ldap, a person: ldapsearch", pkg: "ldap-utils", command: `ldapsearch -x -H ldap://$A -b dc=example,dc=edu '(uid=somebody)'`, exit: 32, prints: []string{"a Dialtone test listener, not a directory"}},
	{name: "ldap, a password: ldapwhoami", pkg: "ldap-utils", command: `ldapwhoami -x -H ldap://$A -D cn=admin,dc=example,dc=edu -w secret`, exit: -1, prints: []string{"ldap_bind:", "test listener"}},
	{name: "ldap, a password: ldapwhoami with StartTLS", pkg: "ldap-utils", command: `LDAPTLS_REQCERT=never ldapwhoami -x -ZZ -H ldap://$A -D cn=$S -w $S`, exit: -1, prints: []string{"Invalid credentials (49)", "test listener"}},
	{name: "ldap, a password in clear: ldapmodify", pkg: "ldap-utils", command: `ldapmodify -x -H ldap://$A -D cn=$S -w $S </dev/null`, exit: -1, prints: []string{"Invalid credentials (49)", "neither kept nor logged"}},
	{name: "ldap, a search for somebody: ldapsearch", pkg: "ldap-utils", command: `ldapsearch -x -H ldap://$A -b dc=example,dc=edu "(mail=$S)"`, exit: 32, prints: []string{"a Dialtone test listener, not a directory"}},
	{name: "ldap: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:389 -starttls ldap -brief </dev/null`, prints: []string{"CN = Dialtone test listener"}},
	{name: "ldap: curl", pkg: "curl", command: `curl -sS --noproxy '*' ldap://$A/`, prints: []string{"vendorName: Dialtone"}},
	// The end of the search in the record of its entry would have it wait for 15 s.
	{name: "ldaps: curl", pkg: "curl", command: `timeout 12 curl -sSk --noproxy '*' ldaps://$A/`, prints: []string{"vendorName: Dialtone"}},
	{name: "ldaps, a password: ldap3", pkg: "python3-ldap3", command: `/usr/bin/python3 -c 'import os, ldap3; print(ldap3.Connection(ldap3.Server("ldaps://" + os.environ["A"]), "cn=u", os.environ["S"]).bind())'`, prints: []string{"False"}},
	{name: "rdp: nmap", fresh: true, pkg: "nmap", command: `nmap -n -Pn --script rdp-enum-encryption -p 3389 $A`, prints: []string{"SSL: SUCCESS"}},
	// It asks whether to trust the certificate, and ends where listen does: inside TLS, at the login.
	{name: "rdp: xfreerdp", pkg: "freerdp2-x11 xvfb xauth", command: `echo T | HOME=$PWD xvfb-run -a xfreerdp /v:$A:3389 /u:x /p:y /sec:tls +auth-only`, exit: -1,
		prints: []string{"Certificate details for 10.2.0.10:3389 (RDP-Server)", "Subject:     CN = Dialtone test listener", "Do you trust the above certificate?"}},
	{name: "rdp, NLA alone: xfreerdp", pkg: "freerdp2-x11 xvfb xauth", command: `HOME=$PWD xvfb-run -a xfreerdp /v:$A:3389 /u:$S /p:$S /cert:ignore /sec:nla +auth-only </dev/null`, exit: -1, prints: []string{"ERRCONNECT_SECURITY_NEGO_CONNECT_FAILED"}},
	{name: "rdp, a name in its cookie: xfreerdp", pkg: "freerdp2-x11 xvfb xauth", command: `HOME=$PWD xvfb-run -a xfreerdp /v:$A:3389 /u:$S /p:$S /cert:ignore /sec:tls +auth-only </dev/null`, exit: -1, prints: []string{"Authentication only"}},
	{name: "z39.50, a search and a password: yaz-client", pkg: "yaz", command: `printf "open $A:210\nfind $S\nquit\n" | yaz-client -u u/$S`, prints: []string{"Connection accepted by v3 target."}},
	{name: "z39.50: zoomsh", pkg: "yaz", command: `printf "connect $A:210\nsearch $S\nquit\n" | zoomsh`, prints: []string{"there is nothing to search or fetch"}},
	{name: "z39.50: yaz-client", pkg: "yaz", command: `yaz-client -f yc </dev/null`, prints: []string{"Connection accepted by v3 target.", "Name   : Dialtone test listener", "goodbye"}},
	{name: "iso ill: yaz-illclient", pkg: "yaz-illclient", command: `yaz-illclient -v all -D ill,protocol-version-num=2 -D ill,transaction-id,transaction-group-qualifier=TG1 $A:1611`, exit: 7, prints: []string{"ISO ILL is not running here yet: nothing was done, kept or passed on."}},
	{name: "odyssey: telnet", pkg: "inetutils-telnet", command: `(sleep 1; echo; sleep 1) | inetutils-telnet $A 7968`, exit: -1,
		prints: []string{"Escape character is '^]'.", "Dialtone test listener on the port that Odyssey uses, not Odyssey itself"}},
	{name: "odyssey, nothing typed: telnet", pkg: "inetutils-telnet", command: `sleep 1 | inetutils-telnet $A 7968`, exit: -1, prints: []string{"Escape character is '^]'."}, lacks: []string{"Dialtone"}},
	{name: "a line typed on 1433: netcat", pkg: "netcat-openbsd", command: `printf '%s\r\n' $S | nc -w 5 $A 1433`, prints: []string{"on the port that SQL Server uses, not SQL Server itself", "neither kept nor logged"}},
	{name: "a line typed on 1611: telnet", pkg: "inetutils-telnet", command: `(echo $S; sleep 1) | inetutils-telnet $A 1611`, exit: -1, prints: []string{"on the port that ISO ILL uses"}},
	{name: "smtp, a password: swaks", pkg: "swaks", command: `swaks --server $A --to b@example.edu --from $S@example.edu --auth LOGIN --auth-user u --auth-password $S`, exit: 28, prints: []string{"Host did not advertise authentication"}},
	{name: "smtp, a password under TLS: curl", pkg: "curl", command: `curl -sSk --ssl-reqd --noproxy '*' -u u:$S --login-options AUTH=PLAIN smtp://$A`, prints: []string{"It takes no mail"}},
	{name: "smtp, a password: msmtp", pkg: "msmtp", command: `printf 'Subject: x\n\nx\n' | HOME=$PWD msmtp --host=$A --port=25 --tls=on --tls-certcheck=off --auth=on --user=u --passwordeval="echo $S" --from=a@example.edu b@example.edu`, exit: 69, prints: []string{"the server does not support authentication"}},
	{name: "smtp: msmtp", pkg: "msmtp", command: `printf 'Subject: x\n\nx\n' | HOME=$PWD msmtp --host=$A --port=25 --from=a@example.edu b@example.edu`, exit: 65, prints: []string{"550 5.7.1 This is a test listener: it takes no mail"}},
	{name: "smtp: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:25 -starttls smtp -brief </dev/null`, prints: []string{"CN = Dialtone test listener"}},
	{name: "smtps on 25: curl", pkg: "curl", command: `curl -sSk --noproxy '*' smtps://$A:25`, exit: 35, prints: []string{"wrong version number"}},
	{name: "smtp: swaks", pkg: "swaks", command: `swaks --server $A --to b@example.edu --from a@example.edu`, exit: -1, prints: []string{"220 dialtone.invalid ESMTP Dialtone test listener, takes no mail", "250-STARTTLS", "550 5.7.1"}},
	{name: "smtp: curl", pkg: "curl", command: `curl -sSk --ssl-reqd smtp://$A`, prints: []string{"It takes no mail"}},
}

func TestRealClientsAreSatisfiedByListen(t *testing.T) {
	needLab(t)
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	l := up(t)
	var written strings.Builder // in all ledgers and on all screens
	for i := 0; i < len(clients); {
		n := 1
		for i+n < len(clients) && !clients[i+n].fresh {
			n++
		}
		satisfies(t, l, bin, clients[i:i+n], &written)
		i += n
	}
	// That these are written down at all shows that the right files were read.
	for _, words := range []string{"GET and credentials (not kept) came", "a name, a password", "PRELOGIN, TLS and login came, refused as meant", "a bind with a password", "EHLO and a mail came"} {
		if n := strings.Count(written.String(), words); n < 2 {
			t.Errorf("ledgers and screens have %q %d times", words, n)
		}
	}
}

// satisfies runs clients against one listen. What that wrote down is added to
// written.
func satisfies(t *testing.T, l *Lab, bin Binaries, clients []client, written *strings.Builder) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "yc"), []byte("open 10.2.0.10:210\nclose\nquit\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	st := &stage{lab: l, dir: dir, bin: filepath.Dir(bin.Listen)}
	end := sync.OnceFunc(func() {
		if err := st.end(); err != nil {
			t.Error(err)
		}
	})
	defer func() {
		end()
		if t.Failed() {
			t.Log(st.log())
		}
	}()
	ledger := filepath.Join(dir, "ledger")
	if err := st.startListener(context.Background(), Listen{Node: "server", Args: []string{"--ledger", ledger}}, bin.Listen, filepath.Join(dir, "ready")); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd, err := st.command(ctx, "client", c.name, "sh", "-c", c.command)
			if err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(cmd.Env, "A=10.2.0.10", "S="+clientSecret)
			cmd.Stdout = cmd.Stderr
			err = cmd.Run()
			b, rerr := os.ReadFile(cmd.Stderr.(*os.File).Name())
			if rerr != nil {
				t.Fatal(rerr)
			}
			out := string(b)
			if c.exit >= 0 && cmd.ProcessState.ExitCode() != c.exit || ctx.Err() != nil || cmd.ProcessState.ExitCode() == 127 {
				t.Errorf("%v, want exit status %d (apt-get install %s)", err, c.exit, c.pkg)
			}
			for _, want := range c.prints {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing", want)
				}
			}
			for _, not := range c.lacks {
				if strings.Contains(out, not) {
					t.Errorf("%q is there", not)
				}
			}
			t.Logf("$ %s\n%s", strings.ReplaceAll(c.command, "$A", "10.2.0.10"), fmt.Sprintf("%.3000s", out))
		})
	}
	end()
	for name, file := range map[string]string{"the ledger": ledger, "the screen": st.logs[0].file.Name()} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		for _, f := range secretForms(clientSecret) {
			if strings.Contains(text, f) {
				t.Errorf("%s has %q", name, f)
			}
		}
		if n := strings.Count(text, `"words":`); n >= 60 {
			t.Errorf("%d clients in %s: what comes after the 60th of a minute is not written down, and so not looked at", n, name)
		}
		written.WriteString(text)
	}
}

// secretForms are those in which a client sends a secret.
func secretForms(secret string) []string {
	wide := make([]byte, 0, 2*len(secret))
	for _, c := range []byte(secret) {
		wide = append(wide, c, 0) // UTF-16, of ASCII
	}
	hidden := make([]byte, len(wide))
	for i, c := range wide {
		hidden[i] = (c<<4 | c>>4) ^ 0xa5 // MS-TDS section 2.2.6.4
	}
	var out []string
	for _, b := range [][]byte{[]byte(secret), wide, hidden} {
		out = append(out, string(b), hex.EncodeToString(b), strconv.Quote(string(b)))
		for skip := range 3 { // wherever in a longer text it stands
			whole := b[skip : len(b)-(len(b)-skip)%3]
			out = append(out, base64.RawStdEncoding.EncodeToString(whole))
		}
	}
	return out
}
