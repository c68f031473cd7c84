/**
 * The page of a first login: listens to how far it is, and logs in when the mailbox is here.
 *
 * What the server sends is described at `tell_progress` in mailferry.php. A stream that ends or breaks is followed by
 * another; after trouble that may pass, `again` seconds later.
 */
'use strict';

(function () {
    var LOST = 3; // seconds from a broken connection to the next
    var settings = rcmail.env.mailferry;
    var source = null;
    var first = null; // {time, done} of the first count that was seen, for what is left
    var spoken = -1; // the tenths that a screen reader was told of

    function element(name) {
        return document.getElementById('mailferry-' + name);
    }

    function words(name, vars) {
        return rcmail.get_label(name, 'mailferry').replace(/\$(\w+)/g, function (whole, key) {
            return vars && key in vars ? vars[key] : whole;
        });
    }

    function say(text) {
        var status = element('status');
        if (status.textContent !== text) {
            status.textContent = text;
        }
    }

    function speak(text) {
        element('spoken').textContent = text;
    }

    function trouble(text) {
        element('bar').classList.toggle('stopped', Boolean(text));
        element('trouble').textContent = text;
        element('trouble').hidden = !text;
    }

    function bar(share) {
        var shown = element('bar');
        shown.className = share === null ? 'unknown' : '';
        if (share === null) {
            shown.removeAttribute('aria-valuenow');
            shown.firstChild.style.width = '';
        } else {
            shown.setAttribute('aria-valuenow', Math.floor(share * 100));
            shown.firstChild.style.width = share * 100 + '%';
        }
    }

    function timeLeft(done, total) {
        var now = Date.now() / 1000;
        if (!first || done < first.done) {
            first = { time: now, done: done };
        }
        if (done === first.done || now - first.time < 5) {
            return '';
        }
        var seconds = (total - done) * (now - first.time) / (done - first.done);
        if (seconds < 60) {
            return words('secondsleft');
        }
        return seconds < 5400
            ? words('minutesleft', { n: Math.round(seconds / 60) })
            : words('hoursleft', { n: Math.round(seconds / 3600) });
    }

    function progress(done, total) {
        var number = new Intl.NumberFormat(document.documentElement.lang || undefined);
        var left = timeLeft(done, total);
        var counted = words('count', { done: number.format(done), total: number.format(total) });
        bar(total ? done / total : null);
        say(left ? counted + ' · ' + left : counted);
        document.title = Math.floor(total ? done * 100 / total : 0) + '% – ' + words('title');
        if (total && Math.floor(done * 10 / total) !== spoken) {
            spoken = Math.floor(done * 10 / total);
            speak(counted);
        }
    }

    function listenIn(seconds) {
        window.setTimeout(listen, seconds * 1000);
    }

    function countDown(text, seconds) {
        if (seconds <= 0) {
            trouble('');
            listen();
            return;
        }
        trouble(text + ' ' + words('again', { n: seconds }));
        window.setTimeout(countDown, 1000, text, seconds - 1);
    }

    function over() {
        source.close();
        source = null;
    }

    function on(name, react) {
        source.addEventListener(name, function (event) {
            react(JSON.parse(event.data));
        });
    }

    function listen() {
        source = new EventSource(settings.progress);
        on('waiting', function () {
            trouble('');
            if (!first) {
                say(words('asking'));
            }
        });
        on('progress', function (data) {
            trouble('');
            progress(data.done, data.total);
        });
        on('held', function () {
            over();
            listenIn(0);
        });
        on('here', function () {
            over();
            bar(1);
            say(words('opening'));
            speak(words('opening'));
            element('enter').submit();
        });
        on('trouble', function (data) {
            over();
            say('');
            countDown(data.text, settings.again);
        });
        on('refused', function (data) {
            over();
            window.location.replace(settings.leave + '&_why=' + encodeURIComponent(data.why));
        });
        on('gone', function () {
            over();
            window.location.replace(settings.leave);
        });
        source.onerror = function () {
            over();
            trouble(words('lost'));
            listenIn(LOST);
        };
    }

    rcmail.addEventListener('init', function () {
        if (settings.total) {
            progress(settings.done, settings.total);
        } else {
            bar(null);
            say(words('asking'));
        }
        listen();
    });
})();
