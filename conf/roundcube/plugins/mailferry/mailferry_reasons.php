<?php

/** What mailferry says when it refuses a login, and the label of what the user is told instead, in any language. */
class mailferry_reasons
{
    /** How its texts begin. What is not among them is shown as it stands. */
    private const TEXTS = [
        'the old mail server does not answer'          => 'unreachable',
        'the old mail server is busy'                  => 'busy',
        'the old mail server does not let this'        => 'notpossible',
        'the administrator has paused'                 => 'paused',
        'this mailbox cannot be stored'                => 'broken',
        'the old mailbox is in use'                    => 'inuse',
        'too many wrong passwords'                     => 'toomany',
        'your old mail is still being carried over'    => 'stillmoving',
        'Server is shutting down'                      => 'restarting',
    ];

    private const CODES = [
        'AUTHENTICATIONFAILED' => 'wrong',
        'INUSE'                => 'inuse',
        'CONTACTADMIN'         => 'blocked',
    ];

    public static function label(mailferry_outcome $outcome): ?string
    {
        if ($outcome->state === mailferry_outcome::UNREACHABLE) {
            return 'serverdown';
        }
        foreach (self::TEXTS as $beginning => $label) {
            if (strpos($outcome->text, $beginning) === 0) {
                return $label;
            }
        }
        return self::CODES[$outcome->code] ?? null;
    }
}
