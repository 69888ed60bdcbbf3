package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
}

// clients are the real clients of each service. After "the key" the client's
// address has proved the key over TCP.
var clients = []client{
	{name: "http: curl", pkg: "curl", command: `curl -sS --noproxy '*' http://$A/`,
		prints: []string{"You reached Dialtone's test listener", "Reached:  10.2.0.10:80", "You are:  10.1.0.10:", "dial --key WORDS 10.2.0.10"}, lacks: []string{"lab-rat"}},
	{name: "http: chromium", pkg: "chromium", command: `HOME=$PWD chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage --no-proxy-server --dump-dom http://$A/`,
		prints: []string{"<h1>You reached Dialtone's test listener</h1>", "<code>10.2.0.10</code> on port <code>80</code>", "dial --key WORDS 10.2.0.10"}, lacks: []string{"lab-rat"}},
	{name: "http on 4500, PatronAPI: curl", pkg: "curl", command: `curl -sS --noproxy '*' http://$A:4500/PATRONAPI/21234567890123/dump`,
		prints: []string{"PATRN NAME[pn]=Dialtone, Test<BR>", "P BARCODE[pb]=00000000000000<BR>"}, lacks: []string{"21234567890123"}},
	{name: "https: curl -k", pkg: "curl", command: `curl -sSk --noproxy '*' https://$A/`,
		prints: []string{"You reached Dialtone's test listener", "Reached:  10.2.0.10:443", "TLS:      the certificate's SHA-256 is"}},
	{name: "https, TLS 1.2: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:443 -tls1_2 -brief </dev/null`,
		prints: []string{"Protocol version: TLSv1.2", "CN = Dialtone test listener"}},
	{name: "https, TLS 1.3: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:443 -tls1_3 -brief </dev/null`,
		prints: []string{"Protocol version: TLSv1.3", "CN = Dialtone test listener"}},
	{name: "ldaps: openssl s_client", pkg: "openssl", command: `openssl s_client -connect $A:636 -brief </dev/null`,
		prints: []string{"Protocol version: TLSv1.3", "CN = Dialtone test listener"}},
	{name: "ftp, extended passive: curl", pkg: "curl", command: `curl -sS --noproxy '*' ftp://u:p@$A/proof.txt`, prints: []string{"Dialtone"}},
	{name: "ftp, passive: curl", pkg: "curl", command: `curl -sS --noproxy '*' --disable-epsv ftp://u:p@$A/proof.txt`, prints: []string{"Dialtone"}},
	{name: "ftp, active: curl", pkg: "curl", command: `curl -sSv --noproxy '*' -P - ftp://u:p@$A/proof.txt`, prints: []string{"Dialtone", "> EPRT |1|10.1.0.10|"}},
	{name: "ftp, passive: lftp", pkg: "lftp", command: `HOME=$PWD lftp -u u,p -e 'set ftp:ssl-allow no; set net:max-retries 1; ls; cat proof.txt; bye' ftp://$A`, prints: []string{"proof.txt", "Dialtone"}},
	{name: "ftp, active: lftp", pkg: "lftp", command: `HOME=$PWD lftp -u u,p -e 'set ftp:ssl-allow no; set net:max-retries 1; set ftp:passive-mode off; cat proof.txt; bye' ftp://$A`, prints: []string{"Dialtone"}},
	{name: "tds: tsql", pkg: "freetds-bin", command: `tsql -H $A -p 1433 -U u -P x </dev/null`, exit: -1, prints: []string{"from Dialtone", "This is Dialtone's test listener, not SQL Server: the network path works."}},
	{name: "tds on 1344: tsql", pkg: "freetds-bin", command: `tsql -H $A -p 1344 -U u -P x </dev/null`, exit: -1, prints: []string{"This is Dialtone's test listener, not SQL Server"}},
	{name: "tds: nmap", pkg: "nmap", command: `nmap -n -Pn -sV -p 1433 $A`, prints: []string{"1433/tcp open  ms-sql-s Microsoft SQL Server"}},
	{name: "sql browser, before the key: tsql -L", pkg: "freetds-bin", command: `timeout 3 tsql -L -H $A`, exit: -1, lacks: []string{"DIALTONE", "InstanceName"}},
	{name: "the key", pkg: "none", command: `dial --only sql-client server4.lab`, prints: []string{"keyed"}},
	{name: "sql browser, after the key: tsql -L", pkg: "freetds-bin", command: `timeout 20 tsql -L -H $A`, exit: -1, prints: []string{"DIALTONE", "MSSQLSERVER", "1433"}},
	{name: "ldap: ldapsearch", pkg: "ldap-utils", command: `ldapsearch -x -H ldap://$A -s base -b "" '(objectClass=*)' '*' '+'`, prints: []string{"vendorName: Dialtone", "result: 0 Success"}},
	{name: "ldaps: ldapsearch", pkg: "ldap-utils", command: `LDAPTLS_REQCERT=never ldapsearch -x -H ldaps://$A -s base -b "" '(objectClass=*)' '*' '+'`, prints: []string{"vendorName: Dialtone", "result: 0 Success"}},
	{name: "ldap, a person: ldapsearch", pkg: "ldap-utils", command: `ldapsearch -x -H ldap://$A -b dc=example,dc=edu '(uid=somebody)'`, exit: 32, prints: []string{"a Dialtone test listener, not a directory"}},
	{name: "ldap, a password: ldapwhoami", pkg: "ldap-utils", command: `ldapwhoami -x -H ldap://$A -D cn=admin,dc=example,dc=edu -w secret`, exit: -1, prints: []string{"ldap_bind:", "test listener"}},
	{name: "rdp: nmap", pkg: "nmap", command: `nmap -n -Pn --script rdp-enum-encryption -p 3389 $A`, prints: []string{"SSL: SUCCESS"}},
	// It asks whether to trust the certificate, and ends where listen does: inside TLS, at the login.
	{name: "rdp: xfreerdp", pkg: "freerdp2-x11 xvfb xauth", command: `echo T | HOME=$PWD xvfb-run -a xfreerdp /v:$A:3389 /u:x /p:y /sec:tls +auth-only`, exit: -1,
		prints: []string{"Certificate details for 10.2.0.10:3389 (RDP-Server)", "Subject:     CN = Dialtone test listener", "Do you trust the above certificate?"}},
	{name: "z39.50: yaz-client", pkg: "yaz", command: `yaz-client -f yc </dev/null`, prints: []string{"Connection accepted by v3 target.", "Name   : Dialtone test listener", "goodbye"}},
	{name: "iso ill: yaz-illclient", pkg: "yaz-illclient", command: `yaz-illclient -v all -D ill,protocol-version-num=2 -D ill,transaction-id,transaction-group-qualifier=TG1 $A:1611`, exit: 7, prints: []string{"ISO ILL is not running here yet: nothing was done, kept or passed on."}},
	{name: "odyssey: telnet", pkg: "inetutils-telnet", command: `(sleep 1; echo; sleep 1) | inetutils-telnet $A 7968`, exit: -1,
		prints: []string{"Escape character is '^]'.", "Dialtone test listener on the port that Odyssey uses, not Odyssey itself"}},
	{name: "odyssey, nothing typed: telnet", pkg: "inetutils-telnet", command: `sleep 1 | inetutils-telnet $A 7968`, exit: -1, prints: []string{"Escape character is '^]'."}, lacks: []string{"Dialtone"}},
	{name: "smtp: swaks", pkg: "swaks", command: `swaks --server $A --to b@example.edu --from a@example.edu`, exit: -1, prints: []string{"220 dialtone.invalid ESMTP Dialtone test listener, takes no mail", "250-STARTTLS", "550 5.7.1"}},
	{name: "smtp: curl", pkg: "curl", command: `curl -sSk --ssl-reqd smtp://$A`, prints: []string{"It takes no mail"}},
}

func TestRealClientsAreSatisfiedByListen(t *testing.T) {
	needLab(t)
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	l, dir := up(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "yc"), []byte("open 10.2.0.10:210\nclose\nquit\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	st := &stage{lab: l, dir: dir, bin: filepath.Dir(bin.Listen)}
	t.Cleanup(func() {
		if err := st.end(); err != nil {
			t.Error(err)
		}
		if log := st.log(); t.Failed() {
			t.Log(log)
		}
	})
	if err := st.startListener(context.Background(), Listen{Node: "server"}, bin.Listen, filepath.Join(dir, "ready")); err != nil {
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
			cmd.Env = append(cmd.Env, "A=10.2.0.10")
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
}
