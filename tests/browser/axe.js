// Beside axe-core, in the page: what looks the same is held against its background once. `enough` are looks whose
// contrast was found to be enough, on this page or on one before; what is not enough is never passed over.
(enough) => {
  const check = axe._audit.checks["color-contrast"];
  const usual = check.evaluate;
  const grounds = new Map();

  // All layers from the page to an element, by which its background is made; null where it may lie on something else.
  const ground = (element) => {
    if (element === null) return "";
    if (grounds.has(element)) return grounds.get(element);
    const below = ground(element.parentElement);
    const style = getComputedStyle(element);
    const layer = [style.backgroundColor, style.backgroundImage, style.opacity, style.filter, style.mixBlendMode].join();
    let found = layer === "rgba(0, 0, 0, 0),none,1,none,normal" ? below : `${below};${layer}`;
    if (below === null || style.position !== "static" || style.transform !== "none") found = null;
    grounds.set(element, found);
    return found;
  };

  const look = (element) => {
    const style = getComputedStyle(element);
    const text = [style.color, style.fontSize, style.fontWeight, style.textShadow, style.webkitTextStroke].join();
    const below = ground(element);
    return below === null ? null : `${text};${below}`;
  };

  check.evaluate = function (element, ...more) {
    const seen = look(element);
    if (enough.includes(seen)) return true;
    let measured = false;
    const noting = Object.create(this);
    noting.data = (data) => { measured = Boolean(data.contrastRatio); this.data(data); };
    const result = usual.call(noting, element, ...more);
    if (result === true && measured && seen !== null) enough.push(seen);
    return result;
  };
  return (options) => axe.run(options).then((found) => { check.evaluate = usual; return [found.violations, enough]; });
}
