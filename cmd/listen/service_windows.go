package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	ucli "github.com/urfave/cli/v2"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"

	"dialtone/internal/cli"
)

// noServices is empty: this system has services.
const noServices = ""

// account is the service's own (virtual accounts, Windows 7 and Server 2008 R2).
const account = `NT SERVICE\` + serviceName

// stopWithin is how long a service that is told to stop is waited for.
const stopWithin = 15 * time.Second

// manager connects to Windows' service manager, which only an administrator may.
func manager() (*mgr.Mgr, error) {
	m, err := mgr.Connect()
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("the service manager: %w", err), "Open cmd or PowerShell by \"Run as administrator\", and try there.")
	}
	return m, nil
}

func installService(c *ucli.Context, flags []string) error {
	if err := checkService(c); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return cli.Usage(err, "")
	}
	m, err := manager()
	if err != nil {
		return err
	}
	defer m.Disconnect()
	s, err := m.CreateService(serviceName, program, mgr.Config{
		ServiceType: windows.SERVICE_WIN32_OWN_PROCESS, StartType: mgr.StartManual, ErrorControl: mgr.ErrorNormal, ServiceStartName: account,
		DisplayName: "Dialtone listen", Description: "Stands in for an ILLiad server on its ports, to test network paths. It ends by itself.",
	}, append([]string{"service", "run"}, flags...)...)
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_EXISTS):
		return cli.Usage(err, "listen service status shows it; listen service remove takes it away.")
	case err != nil:
		return cli.Usage(fmt.Errorf("install: %w", err), "Open cmd or PowerShell by \"Run as administrator\", and try there.")
	}
	defer s.Close()
	// Without it the log has the lines, too, with a remark that their source is unknown.
	if err := eventlog.InstallAsEventCreate(serviceName, eventlog.Info|eventlog.Warning|eventlog.Error); err != nil {
		fmt.Fprintf(c.App.ErrWriter, "listen: the event log does not know it by name: %v\n", err)
	}
	key, ledger := valueOf(flags, "key-file"), valueOf(flags, "ledger")
	fmt.Fprint(c.App.Writer, installedWords(key, ledger, account))
	return nil
}

// valueOf is a flag's value, as serviceFlags writes it.
func valueOf(flags []string, name string) string {
	for _, f := range flags {
		if v, ok := bytes.CutPrefix([]byte(f), []byte("--"+name+"=")); ok {
			return string(v)
		}
	}
	return ""
}

// opened finds the service; nil, nil: it is not installed.
func opened(rights uint32) (*mgr.Service, func(), error) {
	h, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return nil, nil, cli.Usage(fmt.Errorf("the service manager: %w", err), "")
	}
	name, err := windows.UTF16PtrFromString(serviceName)
	if err != nil {
		return nil, nil, err
	}
	sh, err := windows.OpenService(h, name, rights)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		_ = windows.CloseServiceHandle(h)
		return nil, func() {}, nil
	}
	if err != nil {
		_ = windows.CloseServiceHandle(h)
		return nil, nil, cli.Usage(fmt.Errorf("open the service: %w", err), "Open cmd or PowerShell by \"Run as administrator\", and try there.")
	}
	s := &mgr.Service{Name: serviceName, Handle: sh}
	return s, func() { _ = s.Close(); _ = windows.CloseServiceHandle(h) }, nil
}

func removeService(c *ucli.Context, _ []string) error {
	s, done, err := opened(windows.SERVICE_QUERY_STATUS | windows.SERVICE_STOP | windows.DELETE)
	if err != nil {
		return err
	}
	defer done()
	if s == nil {
		fmt.Fprintf(c.App.Writer, "%s is not installed.\n", serviceName)
		return nil
	}
	status, err := s.Query()
	if err == nil && status.State != svc.Stopped {
		if _, err := s.Control(svc.Stop); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
			fmt.Fprintf(c.App.ErrWriter, "listen: it does not take the order to stop: %v\n", err)
		}
		for until := time.Now().Add(stopWithin); err == nil && status.State != svc.Stopped && time.Now().Before(until); {
			time.Sleep(100 * time.Millisecond)
			status, err = s.Query()
		}
	}
	if err := s.Delete(); err != nil {
		return cli.Usage(fmt.Errorf("remove: %w", err), "Open cmd or PowerShell by \"Run as administrator\", and try there.")
	}
	_ = eventlog.Remove(serviceName) // none may have been there
	if status.State != svc.Stopped {
		fmt.Fprintf(c.App.Writer, "%s still runs, and is removed when it ends.\n", serviceName)
		return nil
	}
	fmt.Fprintf(c.App.Writer, "%s is removed. Key and ledger are left.\n", serviceName)
	return nil
}

func serviceStatus(c *ucli.Context, _ []string) error {
	s, done, err := opened(windows.SERVICE_QUERY_STATUS | windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return err
	}
	defer done()
	notRunning := &cli.Failure{Code: cli.ExitBroken}
	if s == nil {
		fmt.Fprintf(c.App.Writer, "%s is not installed.\n", serviceName)
		return notRunning
	}
	status, err := s.Query()
	if err != nil {
		return cli.Usage(fmt.Errorf("status: %w", err), "")
	}
	state := map[svc.State]string{
		svc.Stopped: "stopped", svc.StartPending: "starting", svc.StopPending: "stopping", svc.Running: "running",
	}[status.State]
	switch {
	case state == "":
		state = fmt.Sprintf("in state %d", status.State)
	case status.State == svc.Running:
		state += fmt.Sprintf(" (pid %d)", status.ProcessId)
	case status.State == svc.Stopped && status.ServiceSpecificExitCode != 0:
		state += fmt.Sprintf("; it ended with exit code %d", status.ServiceSpecificExitCode)
	case status.State == svc.Stopped && status.Win32ExitCode != 0 && status.Win32ExitCode != uint32(windows.ERROR_SERVICE_NEVER_STARTED):
		state += fmt.Sprintf("; Windows says: %v", windows.Errno(status.Win32ExitCode))
	}
	fmt.Fprintf(c.App.Writer, "%s is installed and %s.\n", serviceName, state)
	if config, err := s.Config(); err == nil {
		fmt.Fprintf(c.App.Writer, "  runs as  %s\n  command  %s\n", config.ServiceStartName, config.BinaryPathName)
	}
	if status.State != svc.Running {
		return notRunning
	}
	return nil
}

// runService is what Windows starts: listen with these flags, which ends when Windows
// says so.
func runService(_ *ucli.Context, flags []string) error {
	err := svc.Run(serviceName, &asService{flags})
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return cli.Usage(errors.New("listen service run is for Windows to start"), "Write listen service install, and net start "+serviceName+".")
	}
	if err != nil {
		return cli.Usage(err, "")
	}
	return nil
}

type asService struct{ flags []string }

// Execute runs listen until it ends or is told to.
func (a *asService) Execute(_ []string, orders <-chan svc.ChangeRequest, tell chan<- svc.Status) (specific bool, code uint32) {
	tell <- svc.Status{State: svc.StartPending}
	var trouble io.Writer = io.Discard
	if log, err := eventlog.Open(serviceName); err == nil {
		defer log.Close()
		trouble = &events{log: log}
	}
	stop, ended := make(chan struct{}), make(chan int, 1)
	go func() {
		ended <- cli.RunUntil(stop, app(), append([]string{"listen"}, a.flags...), io.Discard, trouble)
	}()
	tell <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	for told := false; ; {
		select {
		case exit := <-ended:
			return exit != 0, uint32(exit)
		case o := <-orders:
			switch o.Cmd {
			case svc.Interrogate:
				tell <- o.CurrentStatus
			case svc.Stop, svc.Shutdown:
				tell <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopWithin.Milliseconds())}
				if !told {
					close(stop)
					told = true
				}
			}
		}
	}
}

// events writes each message to the event log, whose entries have an end.
type events struct{ log *eventlog.Log }

func (e *events) Write(b []byte) (int, error) {
	const most, id = 8000, 1
	text := bytes.TrimSpace(bytes.ReplaceAll(b, []byte{0}, nil))
	if len(text) > 0 {
		_ = e.log.Warning(id, string(text[:min(len(text), most)])) // nobody else could be told
	}
	return len(b), nil
}
