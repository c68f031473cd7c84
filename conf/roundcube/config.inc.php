<?php

/**
 * Roundcube in front of mailferry: /etc/roundcube/config.inc.php, written by conf/roundcube/install.
 *
 * What follows from mailferry's own configuration is in mailferry.inc.php beside this file, written anew each time. What
 * you change goes into local.inc.php, which is read last and never touched. All settings: defaults.inc.php.
 */

$config    = [];
$mailferry = require __DIR__ . '/mailferry.inc.php';

// Roundcube's own settings of users and address books: a file that it makes itself.
$config['db_dsnw']       = 'sqlite:///' . $mailferry['database'] . '?mode=0600';
$config['des_key']       = $mailferry['key'];
$config['cipher_method'] = 'AES-256-CBC';

// mailferry, on this machine. No connection is waited for longer than this, in seconds; a message that is still at the
// old server (`login = "serve"`) may take a while.
$config['imap_host']         = $mailferry['imap'];
$config['imap_conn_options'] = $mailferry['tls'];
$config['imap_timeout']      = 300;

// `wang` and `wang@123.com` are the same user where one domain is served.
$config['username_domain'] = $mailferry['domain'];
$config['mail_domain']     = $mailferry['domain'];
$config['login_lc']        = 2;

// mailferry answers lists, threads and searches from its index, so that a second copy here would only be out of date.
$config['imap_cache']     = null;
$config['messages_cache'] = false;

// Every account has its folders for sent mail, drafts, junk and deleted mail, and says which they are (SPECIAL-USE).
$config['create_default_folders']  = false;
$config['protect_default_folders'] = true;
$config['lock_special_folders']    = false;

// Mail is handed in where mailferry's `submission` says, as the same user. Without it nothing can be sent from here.
if ($mailferry['submission']) {
    $config['smtp_host'] = $mailferry['submission'];
    $config['smtp_user'] = '%u';
    $config['smtp_pass'] = '%p';
}
else {
    $config['smtp_host']        = '';
    $config['disabled_actions'] = ['mail.compose', 'mail.send', 'mail.bounce'];
}

// The first login waits for the old mailbox, and says so. Without this plugin it ends in an error page.
$config['plugins'] = ['mailferry'];

$config['product_name']         = $mailferry['product'];
$config['display_product_info'] = 0;
$config['enable_installer']     = false;
$config['session_lifetime']     = 60;    // minutes without a sign from the browser
$config['use_https']            = $mailferry['https'];  // behind a web server that has the certificate: true
$config['session_samesite']     = 'Lax';
$config['log_logins']           = true;

$config['quota_zero_as_unlimited'] = true;

$config['language']          = null;     // as the browser asks for: Chinese, English, …
$config['enable_spellcheck'] = false;
$config['mail_pagesize']     = 100;
$config['refresh_interval']  = 60;
$config['draft_autosave']    = 120;
$config['mime_param_folding'] = 0;       // names of attachments in Chinese as all mail programs read them

if (is_readable(__DIR__ . '/local.inc.php')) {
    include __DIR__ . '/local.inc.php';
}
