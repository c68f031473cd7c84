<?php

/** What came of an attempt to log in. */
class mailferry_outcome
{
    public const OPEN        = 'open';         // logged in: the mailbox is here
    public const HELD        = 'held';         // the time is over, and the server has not answered yet
    public const REFUSED     = 'refused';      // with a response code of RFC 5530
    public const UNREACHABLE = 'unreachable';  // no connection, or it broke

    public string $state;
    public string $code = '';
    public string $text = '';

    /** @var int|null Messages that are here, and that there will be; null: not known. */
    public ?int $done  = null;
    public ?int $total = null;

    public function __construct(string $state)
    {
        $this->state = $state;
    }

    /** Is it of no use to try again with the same password? */
    public function is_final(): bool
    {
        return $this->state === self::REFUSED && !in_array($this->code, ['UNAVAILABLE', 'INUSE', 'SERVERBUG', 'LIMIT']);
    }
}

/** The time for a login is over. */
class mailferry_time_is_over extends Exception
{
}

/**
 * A login over IMAP that may be held: Roundcube's own client, which here listens while it waits.
 *
 * mailferry says `* OK [INPROGRESS ("tag" 120 3000)] …` (RFC 9585) every few seconds before it answers. The connection
 * is closed behind the attempt: what counts is that the mailbox is there, for the login that follows.
 */
class mailferry_login extends rcube_imap_generic
{
    private const PROGRESS = '/^\* OK \[INPROGRESS(?: \("(?:[^"\\\\]|\\\\.)*" (\d+|NIL) (\d+|NIL)\))?\]/i';
    private const LOOK_UP  = 5.0;  // seconds after which `progress` is called at the latest
    private const CONNECT  = 10;   // seconds for the connection and for a line that has begun

    private rcube_config $config;
    private float $end = 0.0;
    private ?int $done = null;
    private ?int $total = null;

    /** @var callable|null */
    private $progress;

    public function __construct(rcube_config $config)
    {
        $this->config = $config;
    }

    /**
     * Log in, for so many seconds at most.
     *
     * @param callable|null $progress Called with (done, total) whenever the server says how far it is, and with (null,
     *                                null) every few seconds while it says nothing
     */
    public function attempt(string $host, string $user, string $password, float $seconds, ?callable $progress = null)
    {
        $this->end      = microtime(true) + $seconds;
        $this->progress = $progress;
        try {
            [$name, $options] = $this->surroundings($host);
            if ($this->connect($name, $this->full_name($user, $name), $password, $options)) {
                $this->closeConnection();
                return new mailferry_outcome(mailferry_outcome::OPEN);
            }
        }
        catch (mailferry_time_is_over $over) {
            $this->closeSocket();
            return $this->held();
        }
        if ($this->errornum !== self::ERROR_NO) {
            return new mailferry_outcome(mailferry_outcome::UNREACHABLE);
        }
        $outcome       = new mailferry_outcome(mailferry_outcome::REFUSED);
        $outcome->code = (string) $this->resultcode;
        $outcome->text = (string) $this->result;
        return $outcome;
    }

    private function held(): mailferry_outcome
    {
        $outcome        = new mailferry_outcome(mailferry_outcome::HELD);
        $outcome->done  = $this->done;
        $outcome->total = $this->total;
        return $outcome;
    }

    /** The host's name and the options, as Roundcube itself connects. */
    private function surroundings(string $host): array
    {
        [$name, $scheme, $port] = rcube_utils::parse_host_uri($host, 143, 993);
        $options = [
            'port'           => $port,
            'ssl_mode'       => $scheme === 'imaps' ? 'ssl' : (in_array($scheme, ['ssl', 'tls']) ? $scheme : null),
            'auth_type'      => $this->config->get('imap_auth_type', 'check'),
            'timeout'        => self::CONNECT,
            'socket_options' => $this->config->get('imap_conn_options'),
        ];
        rcube_utils::parse_socket_options($options['socket_options'], $name);
        return [$name, $options];
    }

    /** The name with the domain that Roundcube adds to it: both are to log in as the same user. */
    private function full_name(string $user, string $host): string
    {
        $domain = $this->config->get('username_domain');
        if (is_array($domain)) {
            $domain = $domain[$host] ?? '';
        }
        $domain = rcube_utils::parse_host((string) $domain, $host);
        return !$domain || strpos($user, '@') !== false ? $user : "$user@$domain";
    }

    protected function authenticate($user, $pass, $type = 'PLAIN')
    {
        $this->say_whose_it_is();
        return parent::authenticate($user, $pass, $type);
    }

    protected function login($user, $password)
    {
        $this->say_whose_it_is();
        return parent::login($user, $password);
    }

    /** Where `trusted` names this machine, guesses count for the browser's address and not for the webmail's. */
    private function say_whose_it_is(): void
    {
        if ($this->getCapability('ID')) {
            $this->id(['x-originating-ip' => rcube_utils::remote_addr()]);
        }
    }

    /** A line from the server, waited for as long as there is time. */
    protected function readLine($size = 1024)
    {
        $this->listen();
        $line = parent::readLine($size);
        if (preg_match(self::PROGRESS, $line, $found)) {
            $numbers     = array_map(static fn ($word) => is_numeric($word) ? (int) $word : null, $found);
            $this->done  = $numbers[1] ?? null;
            $this->total = $numbers[2] ?? null;
            $this->tell($this->done, $this->total);
        }
        return $line;
    }

    /** Wait until there is something to read. Throws mailferry_time_is_over. */
    private function listen(): void
    {
        while ($this->fp) {
            $left = $this->end - microtime(true);
            if ($left <= 0) {
                throw new mailferry_time_is_over();
            }
            $wait   = min($left, self::LOOK_UP);
            $read   = [$this->fp];
            $write  = null;
            $except = null;
            if (stream_select($read, $write, $except, (int) $wait, (int) (fmod($wait, 1) * 1e6))) {
                return;
            }
            $this->tell(null, null);
        }
    }

    private function tell(?int $done, ?int $total): void
    {
        if ($this->progress) {
            ($this->progress)($done, $total);
        }
    }
}
