// Tells whoever has a session's page open, in JupyterLab or Notebook 7, that the session is about to end, and what its
// services are at: a menu has their pages. An extension of the kind that JupyterLab calls prebuilt: a container of module federation, written by hand, so that nothing is built.
// When to look, and what is true, is the service's to say (`binder/ends`).
// https://jupyterlab.readthedocs.io/en/stable/extension/extension_dev.html#prebuilt-extensions
(() => {
  const NAME = 'binder-notice';
  const AGAIN_SECONDS = 60; // where the service does not say when
  const MARK = '\u231b '; // an hourglass: of a tab that is not looked at, the title is all that can be seen

  const address = path => JSON.parse(document.getElementById('jupyter-config-data').textContent).baseUrl + path;
  const get = path => fetch(address(path), { cache: 'no-store' }).catch(() => null);

  // Returns null where it cannot be known: there is no network, say, or the service is being restarted.
  async function askForEnd() {
    const answer = await get('binder/ends');
    if ([404, 410].includes(answer?.status)) return { is_over: true };
    return answer?.ok ? answer.json().catch(() => null) : null;
  }

  function clock(end) {
    const at = new Date(Date.now() + end.seconds_left * 1000);
    return at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  }

  function markTitle(isMarked) {
    const title = document.title.startsWith(MARK) ? document.title.slice(MARK.length) : document.title;
    document.title = isMarked ? MARK + title : title;
  }

  // One notice at a time: what it tells is exchanged, or taken back.
  function newNotice(commands) {
    let told = null; // its message, and the id of its notification

    async function tell(type, message, actions, autoClose = false) {
      if (told?.message === message) return; // whoever has closed it need not close it again
      await takeBack();
      const id = await commands.execute('apputils:notify', { type, message, options: { autoClose, actions } });
      told = { message, id };
    }

    async function takeBack() {
      if (told) await commands.execute('apputils:dismiss-notification', { id: told.id });
      told = null;
    }

    return { tell, takeBack };
  }

  // What this page's JupyterLab shares with its extensions, or null.
  async function shared(name) {
    const [version] = Object.values(scope?.[name] ?? {});
    return version ? (await version.get())() : null;
  }

  const sharedOrNot = name => shared(name).catch(() => null);

  // A menu of the session's services, with what they are at, and their pages. One without items could not be opened.
  async function newMenu(commands, bar, { services, links }) {
    const widgets = await sharedOrNot('@lumino/widgets');
    if (!bar || !widgets) return null;
    const menu = new widgets.Menu({ commands });
    menu.title.label = 'Services';
    fill(menu, services, links);
    bar.addMenu(menu, true, { rank: 900 });
    return menu;
  }

  function fill(menu, services, links) {
    const shown = JSON.stringify([services, links]);
    if (menu.node.dataset.shown === shown) return; // it may be open, and would be closed
    menu.node.dataset.shown = shown;
    menu.clearItems();
    for (const { title, ready, gave_up, sentence } of services) {
      const state = ready ? 'ready' : gave_up ? 'has ended' : 'is being started again';
      const args = { label: `${title}: ${state}`, message: sentence || `${title} is ready.` };
      menu.addItem({ command: `${NAME}:service`, args });
    }
    if (links.length) menu.addItem({ type: 'separator' });
    for (const { title, path } of links) menu.addItem({ command: `${NAME}:page`, args: { label: title, path } });
  }

  function activate({ commands, info, started }, bar) {
    const { tell, takeBack } = newNotice(commands);
    const ofServices = newNotice(commands);
    let menu = null;
    let last = new Map(); // what the services were at, when that was last looked at
    let timer = null;

    // Asks when the session ends, tells of it or takes that back, and looks again in time.
    async function look() {
      const end = await askForEnd();
      clearTimeout(timer);
      if (end) markTitle(end.is_over || end.is_soon);
      if (end?.is_over) return void (await tellOver());
      if (end) await (end.is_soon ? tellSoon(end) : takeBack());
      if (end?.services) await tellServices(end);
      timer = setTimeout(look, (end?.look_again_seconds ?? AGAIN_SECONDS) * 1000);
      return end;
    }

    async function tellServices({ services, links }) {
      menu ??= newMenu(commands, bar, { services, links });
      const made = await menu;
      if (made) fill(made, services, links);
      // Who was away for less than the time between two looks is told of all the same: something may be lost with it.
      const before = last;
      last = new Map(services.map(service => [service.title, service]));
      const wasDown = (was, now) => was && (!was.ready || was.restarts < now.restarts);
      const back = services.filter(service => service.ready && wasDown(before.get(service.title), service));
      const ended = services.filter(service => !service.ready);
      if (ended.length) {
        const isLost = ended.some(service => service.gave_up);
        const message = ended.map(service => service.sentence).join(' ');
        await ofServices.tell(isLost ? 'error' : 'warning', message, []);
      } else {
        await ofServices.takeBack();
      }
      for (const { title } of back) {
        await newNotice(commands).tell('success', `${title} was started again, and is ready.`, [], 15000);
      }
    }

    function tellSoon(end) {
      const message = `This session ends at ${clock(end)}, and what was changed in it is lost. ${end.message}`;
      const keep = { label: 'Keep it open', commandId: `${NAME}:keep-open` };
      const download = { label: 'Download what I changed', commandId: `${NAME}:download`, displayType: 'accent' };
      return tell('warning', message, end.can_be_put_off ? [keep, download] : [download]);
    }

    function tellOver() {
      if (info) info.isConnected = false; // has the page ask for no more, and tell of each thing that is gone
      const message = 'This session has ended. What this page still shows can be copied, but not be run or saved.';
      return tell('error', message, [{ label: 'Start again', commandId: `${NAME}:start-again`, displayType: 'accent' }]);
    }

    async function keepOpen() {
      await get('api/status'); // what the page asks of the session is use of it
      await takeBack();
      const end = await look();
      if (end && !end.is_soon) {
        await tell('success', `This session stays open until ${clock(end)} at least.`, [], 5000);
      }
    }

    async function download() {
      const save = 'docmanager:save-all'; // what is not saved would not be in it
      if (commands.hasCommand(save) && commands.isEnabled(save)) await commands.execute(save).catch(() => null);
      window.open(address('binder/changes.zip'), '_blank');
      await takeBack(); // a button that is clicked closes the notice, and the session ends all the same
      await look();
    }

    // This page stays: what it shows may be all that is left.
    const startAgain = () => void window.open(location.href, '_blank', 'noopener');

    commands.addCommand(`${NAME}:keep-open`, { label: 'Keep this session open', execute: keepOpen });
    commands.addCommand(`${NAME}:download`, { label: 'Download what I changed in this session', execute: download });
    const label = args => args.label ?? 'Services of this session';
    const open = args => args.path && void window.open(address(args.path), '_blank', 'noopener');
    const say = args => newNotice(commands).tell('info', args.message ?? '', [], 5000);
    commands.addCommand(`${NAME}:service`, { label, execute: say });
    commands.addCommand(`${NAME}:page`, { label, execute: open });
    commands.addCommand(`${NAME}:start-again`, { label: 'Start this session again', execute: startAgain });
    // JupyterLab has notifications since 3.6.
    started.then(() => commands.hasCommand('apputils:notify') && look());
  }

  let scope = null;
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[NAME] = {
    init: given => void (scope = given),
    get: async () => {
      const menus = await sharedOrNot('@jupyterlab/mainmenu');
      const optional = menus?.IMainMenu ? [menus.IMainMenu] : [];
      return () => ({ __esModule: true, default: { id: `${NAME}:plugin`, autoStart: true, optional, activate } });
    },
  };
})();
