<?php

/**
 * A first login at mailferry takes as long as the old mailbox takes to come. This plugin shows how far it is.
 *
 * Roundcube logs in over IMAP while the browser waits for its answer. PHP itself would wait: what mailferry says every
 * few seconds keeps each read within `imap_timeout`, and `max_execution_time` does not count while PHP waits. But after
 * `fastcgi_read_timeout` nginx shows "504 Gateway Time-out", and until then the user sees nothing at all. So the password
 * is tried first, for a few seconds:
 *
 *   the mailbox is open      Roundcube logs in as ever
 *   refused                  the login page again, with the reason in words: a wrong password is called so, and an old
 *                            server that cannot be reached is not called a wrong password
 *   held (RFC 9585)          the page "waiting" is shown, which listens to how far it is and logs in at the end
 *
 * The move does not need the page: closing it does no harm, and the next login joins the move where it is. Meanwhile
 * name and password are kept as those of anybody who is logged in are: in the session, the password encrypted under
 * `des_key`. They are forgotten when the login is refused, when the user leaves, and with the session.
 *
 * Settings, all in seconds: `mailferry_patience`, until the page is shown instead of the mailbox (4);
 * `mailferry_listen`, how long one request tells how far it is before the page asks again (600); `mailferry_again`,
 * from trouble that may pass to the next attempt (30).
 */
class mailferry extends rcube_plugin
{
    public $task = 'login';

    private const PAGE     = 'plugin.mailferry.waiting';
    private const PROGRESS = 'plugin.mailferry.progress';
    private const LEAVE    = 'plugin.mailferry.leave';

    /** @var array|null Who waits, taken out of the session before Roundcube ends it to make a new one. */
    private $waiting;

    /** @var string|null What is said of a login that was refused for now, and not for good. */
    private $later;

    /** @var rcmail */
    private $rcmail;

    public function init()
    {
        $this->rcmail = rcmail::get_instance();
        require_once __DIR__ . '/mailferry_login.php';
        require_once __DIR__ . '/mailferry_reasons.php';
        $this->add_texts('localization/');
        $this->add_hook('startup', [$this, 'startup']);
        $this->add_hook('authenticate', [$this, 'authenticate']);
        $this->add_hook('unauthenticated', [$this, 'unauthenticated']);
    }

    /** Before anything else of a request to the login page. */
    public function startup($args)
    {
        if ($this->rcmail->user->ID) {
            return $args;
        }
        $waiting = $_SESSION['mailferry'] ?? null;
        switch ($args['action']) {
            case self::PROGRESS:
                $this->tell_progress($waiting);
            case self::LEAVE:
                $this->leave();
                $args['action'] = '';
                break;
            case 'login':
                if (isset($_POST['_waited'])) {
                    $this->waiting = $waiting;
                }
                break;
            case self::PAGE:
            case '':  // who comes back to the site finds the page again
                if ($waiting) {
                    $this->show_page($waiting);
                }
                $args['action'] = '';
                break;
        }
        return $args;
    }

    /** A name and a password, from the login page or, at the end of waiting, from the session. */
    public function authenticate($args)
    {
        if ($this->waiting) {
            $args['user'] = $this->waiting['user'];
            $args['pass'] = $this->rcmail->decrypt($this->waiting['pass']);
            $args['host'] = $this->waiting['host'];
        }
        if (!$args['valid'] || $args['abort'] || !strlen($args['user']) || !strlen($args['pass'])) {
            return $args;
        }
        $outcome = $this->login($args, $this->setting('patience', 4));
        if ($outcome->state === mailferry_outcome::HELD) {
            $this->wait($args, $outcome);
        }
        if ($outcome->state !== mailferry_outcome::OPEN) {
            $args['abort'] = true;
            $args['error'] = $this->refusal($outcome);
            $this->later   = $outcome->is_final() ? null : $args['error'];
        }
        return $args;
    }

    /** The login page is about to be shown: 401 is for wrong passwords, and what else there is stays on the screen. */
    public function unauthenticated($args)
    {
        if ($this->later !== null) {
            $args['http_code'] = 200;
            $this->rcmail->output->show_message($this->later, 'warning', null, true, -1);
        }
        return $args;
    }

    private function login(array $who, float $seconds, ?callable $progress = null): mailferry_outcome
    {
        $login = new mailferry_login($this->rcmail->config);
        return $login->attempt($who['host'], $who['user'], $who['pass'], $seconds, $progress);
    }

    /** Remember who waits, and go to the page. Does not return. */
    private function wait(array $args, mailferry_outcome $outcome): void
    {
        $before                = $this->waiting ?? [];
        $_SESSION['mailferry'] = [
            'user'     => $args['user'],
            'pass'     => $this->rcmail->encrypt($args['pass']),
            'host'     => $args['host'],
            'url'      => $before['url'] ?? rcube_utils::get_input_string('_url', rcube_utils::INPUT_POST),
            'timezone' => $before['timezone'] ?? rcube_utils::get_input_string('_timezone', rcube_utils::INPUT_POST),
            'done'     => $outcome->done,
            'total'    => $outcome->total,
        ];
        $this->rcmail->session->regenerate_id(false);
        $this->rcmail->output->redirect(['_task' => 'login', '_action' => self::PAGE]);
    }

    /** Does not return. */
    private function show_page(array $waiting): void
    {
        $_SESSION['temp'] = true;  // without it Roundcube takes no login
        $output           = $this->rcmail->output;
        $output->set_pagetitle($this->gettext('title'));
        $output->set_env('mailferry', [
            'progress' => $this->rcmail->url(['_task' => 'login', '_action' => self::PROGRESS]),
            'leave'    => $this->rcmail->url(['_task' => 'login', '_action' => self::LEAVE]),
            'done'     => $waiting['done'],
            'total'    => $waiting['total'],
            'again'    => $this->setting('again', 30),
        ]);
        $output->add_label(...array_map(
            static fn ($name) => "mailferry.$name",
            ['title', 'asking', 'count', 'secondsleft', 'minutesleft', 'hoursleft', 'opening', 'again', 'lost']
        ));
        $output->add_handler('mailferryaccount', fn () => rcube::Q($waiting['user']));
        $output->add_handler('mailferryform', fn () => $this->form($waiting));
        $this->include_script('waiting.js');
        $this->include_stylesheet($this->local_skin_path() . '/waiting.css');
        $output->send('mailferry.waiting');
        exit;
    }

    /** What the page sends when the mailbox is here: a login without name and password, which are in the session. */
    private function form(array $waiting): string
    {
        $fields = [
            '_task'     => 'login',
            '_action'   => 'login',
            '_waited'   => '1',
            '_url'      => $waiting['url'],
            '_timezone' => $waiting['timezone'] ?: '_default_',
            '_token'    => $this->rcmail->get_request_token(),
        ];
        $inside = '';
        foreach ($fields as $name => $value) {
            $inside .= (new html_hiddenfield(['name' => $name, 'value' => $value]))->show();
        }
        $attributes = ['id' => 'mailferry-enter', 'method' => 'post', 'action' => './?_task=login'];
        return html::tag('form', $attributes, $inside, ['id', 'method', 'action']);
    }

    /**
     * Say how far it is, as server-sent events, until the login is answered or `mailferry_listen` is over:
     * "progress" {done, total}, "waiting" {} when nothing is known yet, and as the last one "here" {}, "held" {},
     * "trouble" {text} (try again), "refused" {} (the user has to do something) or "gone" {} (nobody waits).
     * Does not return. The session is not held meanwhile, and nothing is written to it.
     */
    private function tell_progress(?array $waiting): void
    {
        $this->rcmail->session->write_close();
        set_time_limit(0);
        while (ob_get_level()) {
            ob_end_clean();
        }
        header('Content-Type: text/event-stream');
        header('Cache-Control: no-store');
        header('X-Accel-Buffering: no');  // nginx: pass it on at once
        if (!$waiting) {
            $this->tell('gone', []);
            exit;
        }
        $waiting['pass'] = $this->rcmail->decrypt($waiting['pass']);
        $moved           = false;
        $outcome         = $this->login(
            $waiting,
            $this->setting('listen', 600),
            function (?int $done, ?int $total) use (&$moved) {
                $moved = $moved || $total !== null;
                $total === null ? $this->tell('waiting', []) : $this->tell('progress', compact('done', 'total'));
            }
        );
        $this->tell(...$this->last_event($outcome, $moved));
        exit;
    }

    /** The event that an outcome is. A move that was seen going on and is then refused for now went past mailferry's
     * `hold_limit`, or broke off: the next login shows which. */
    private function last_event(mailferry_outcome $outcome, bool $moved): array
    {
        switch ($outcome->state) {
            case mailferry_outcome::OPEN:
                return ['here', []];
            case mailferry_outcome::REFUSED:
                if ($outcome->is_final()) {
                    return ['refused', ['why' => mailferry_reasons::label($outcome) ?? 'blocked']];
                }
                return $moved ? ['held', []] : ['trouble', ['text' => $this->words($outcome)]];
            case mailferry_outcome::HELD:
                return ['held', []];
            default:
                return ['trouble', ['text' => $this->words($outcome)]];
        }
    }

    private function tell(string $event, array $data): void
    {
        echo "event: $event\ndata: " . json_encode((object) $data) . "\n\n";
        flush();  // and PHP ends here if the browser has left
    }

    /** Forget who waits: at the user's wish, or because the login was refused meanwhile. The move goes on. */
    private function leave(): void
    {
        $this->rcmail->session->remove('mailferry');
        $why = rcube_utils::get_input_string('_why', rcube_utils::INPUT_GET);
        if ($why === 'wrong') {
            $this->rcmail->output->show_message('loginfailed', 'warning');
        }
        if ($why === 'blocked') {
            $this->rcmail->output->show_message($this->gettext('blocked'), 'warning');
        }
        $_SERVER['QUERY_STRING'] = '';  // or the login page would take this request for where the user wants to go
    }

    /** What the login page says of a login that was refused, as text or as the name of one of Roundcube's own. */
    private function refusal(mailferry_outcome $outcome): string
    {
        $label = mailferry_reasons::label($outcome);
        if ($label === 'wrong') {
            return 'loginfailed';
        }
        $words = rcube::Q($this->words($outcome));
        return $outcome->is_final() ? $words : $words . ' ' . $this->gettext('later');
    }

    /** Why a login was refused, in the user's language. */
    private function words(mailferry_outcome $outcome): string
    {
        $label = mailferry_reasons::label($outcome) ?? 'other';
        return $this->gettext(['name' => $label, 'vars' => ['text' => $outcome->text]]);
    }

    private function setting(string $name, int $default): float
    {
        return (float) $this->rcmail->config->get("mailferry_$name", $default);
    }
}
